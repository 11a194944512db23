"""Parity: whether what clients see of one server is what they saw of another."""

from harness.parity.comparison import Noise, compare, noise_between, with_ids_of
from harness.parity.fields import ABSENT
from harness.parity.findings import Finding
from harness.results import FindingKind

__all__ = ["ABSENT", "Finding", "FindingKind", "Noise", "compare", "noise_between", "with_ids_of"]
