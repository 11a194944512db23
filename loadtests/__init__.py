"""Locust users and shapes for mixed clients, the worker fleet, and the benchmarks."""
