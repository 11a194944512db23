"""Benchmarks of the new stack, each bounded, over loopback only."""
