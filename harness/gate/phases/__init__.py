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
from harness.gate.phases.scenarios import SCENARIOS
from harness.gate.phases.simplicity import SIMPLICITY

GROUPS: Final[tuple[tuple[Phase, ...], ...]] = (
    (CASSETTES,),
    (LOAD,),
    (MEMORY, RESTARTS),
    (FAULTS, SCENARIOS),
    (CONTENTION, SIMPLICITY),
)
"""Groups are carried out one after the other, the phases of a group side by side. Latencies need the machine for
themselves; contention comes after the phases whose histories it looks at."""

PHASES: Final = tuple(phase for group in GROUPS for phase in group)
