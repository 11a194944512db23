"""The Redis-direct job stack: queue, API, workers and client."""
