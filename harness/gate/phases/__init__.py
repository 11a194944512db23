"""The phases of a run, in the order in which they are carried out."""

from __future__ import annotations

from typing import Final

from harness.gate.context import Phase
from harness.gate.phases.cassettes import CASSETTES
from harness.gate.phases.chaos import CHAOS
from harness.gate.phases.contention import CONTENTION
from harness.gate.phases.faults import FAULTS, RESTARTS
from harness.gate.phases.loads import MEMORY, POLLING, STEADY
from harness.gate.phases.migration import MIGRATION
from harness.gate.phases.resources import CODE_SIZE, RESOURCES
from harness.gate.phases.scenarios import PROMISES, SCENARIOS
from harness.gate.phases.spoken import SPOKEN

GROUPS: Final[tuple[tuple[Phase, ...], ...]] = (
    (CASSETTES,),
    (STEADY,),
    (POLLING,),
    (SCENARIOS, PROMISES, FAULTS, CHAOS, RESTARTS, MEMORY, MIGRATION, RESOURCES, CONTENTION, CODE_SIZE),
)
"""Groups are carried out one after the other, the phases of a group side by side, a few at once, the long ones first.
Latencies need the machine for themselves."""

SPOKEN_GROUPS: Final[tuple[tuple[Phase, ...], ...]] = ((SPOKEN,),)
"""Of a run that knows a target's protocol alone."""

PHASES: Final = tuple(phase for group in GROUPS for phase in group)
