"""The modern HTTP API: its routes, types, errors, limits and metrics."""
