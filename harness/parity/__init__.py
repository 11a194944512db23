"""Parity: whether what clients see of one server is what they saw of another."""

from harness.parity.comparison import Noise, ParityResult, compare, noise_of, parity_of
from harness.parity.findings import ABSENT
from harness.results import Finding, FindingKind

__all__ = ["ABSENT", "Finding", "FindingKind", "Noise", "ParityResult", "compare", "noise_of", "parity_of"]
