"""Locust users and plug-in, and the benchmarks; what a load is lives in `harness.load`."""
