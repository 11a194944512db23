"""The memory of the API's process held against the hub's under the same load.

Of the 30 to 36 MB that each holds, half a MB is shared pages: the ratio does not depend on what else runs. The
simulator is leaner than the hub that it stands for (58 to 65 MB resident under load), so it is the harder measure.
"""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import MemoryLoads, failed_demands
from harness.results import Evidence, Link, LinkTo, below

FIGURE: Final = "memory-both-sides"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API's memory as a share of the hub's."""

    ratio_to_hub: float


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Samples of each side."""

    samples: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """The ratio of the medians."""
    memory = collected.get(MemoryLoads)
    ratio = memory.api_bytes / memory.hub_bytes if memory.hub_bytes and memory.api_bytes else None
    failed, which = failed_demands(memory.loads)
    return Judged(
        measurements=[below("the API's memory as a share of the hub's", ratio, limits.ratio_to_hub), failed],
        evidence=[
            Evidence(what="samples of the hub", had=memory.hub_samples, least=least.samples),
            Evidence(what="samples of the stack", had=memory.api_samples, least=least.samples),
        ],
        links=[Link(to=LinkTo.FIGURE, ref=FIGURE, label="memory over time")],
        explanation=" ".join([memory.conditions, *which]),
    )


CRITERION: Final = CriterionSpec(
    id="memory",
    title="Less memory than the hub",
    sentence="The API's process holds less memory than the hub's under the same load.",
    source="Plan, success criterion: resources",
    measured="Proportional set size (PSS) of both, sampled while each serves the same load with 48 workers.",
    needs=(MemoryLoads,),
    limits=Limits,
    least=Least,
    judge=judge,
)
