"""The memory of the API's process held against what was measured on the real hub under the same load.

The simulator is shown beside it and judges nothing: it says what the hub says, not what the hub weighs. It shares its
libraries with the API, and was between 0.9 and 1.1 of it by what else the machine did.
"""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import MemoryLoads, all_decided, failed_demands
from harness.results import Evidence, Link, LinkTo, below

FIGURE: Final = "memory-both-sides"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resident memory of the real hub under load, in MB, and the share of it that the API may have."""

    hub_mb: float
    ratio_to_hub: float


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Samples of each side."""

    samples: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """The API's median."""
    memory = collected.get(MemoryLoads)
    ratio = memory.api_bytes / (limits.hub_mb * 1e6) if memory.api_bytes else None
    failed, which = failed_demands(memory.loads)
    return Judged(
        measurements=[
            below(f"the API's memory as a share of the hub's {limits.hub_mb:g} MB", ratio, limits.ratio_to_hub),
            failed,
        ],
        evidence=[
            Evidence(what="samples of the stack", had=memory.api_samples, least=least.samples),
            *all_decided(memory.loads),
        ],
        links=[Link(to=LinkTo.FIGURE, ref=FIGURE, label="memory over time")],
        explanation=" ".join([memory.conditions, *which]),
    )


CRITERION: Final = CriterionSpec(
    id="memory",
    title="Less memory than the hub",
    sentence="The API's process holds less memory than the hub's under the same load.",
    source="Plan, success criterion: resources",
    measured="Resident memory, sampled under the load at which the real hub was measured: 48 workers, 5 jobs a second "
    "(PROTOCOL.md, fault 8).",
    needs=(MemoryLoads,),
    limits=Limits,
    least=Least,
    judge=judge,
)
