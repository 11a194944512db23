"""The Redis-direct job stack: queue, API, workers and client."""

__version__ = "0.1.0"
