"""The phases of a run, in the order in which they are carried out."""

from __future__ import annotations

from typing import Final

from harness.gate.bench import Phase
from harness.gate.phases.cassettes import CASSETTES
from harness.gate.phases.contention import CONTENTION
from harness.gate.phases.faults import FAULTS
from harness.gate.phases.load import LOAD
from harness.gate.phases.memory import MEMORY
from harness.gate.phases.restarts import RESTARTS
from harness.gate.phases.simplicity import SIMPLICITY

PHASES: Final[tuple[Phase, ...]] = (CASSETTES, LOAD, MEMORY, FAULTS, RESTARTS, CONTENTION, SIMPLICITY)
"""Contention comes after the phases whose histories it looks at."""
