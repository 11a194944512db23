"""What the stack's processes hold and cost: nothing that grows with use, and little when there is nothing to do."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import ResourceUse
from harness.results import Evidence, at_most

MB: Final = 1_000_000


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many descriptors and MB a process may have more after all rounds than after the first ones; the share of one
    processor, in percent, that a fleet of that size and an API cost idle.
    """

    more_descriptors: int
    more_mb: float
    fleet: int
    idle_fleet_percent: float
    idle_api_percent: float


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rounds of clients that came and went, jobs that they had run, and seconds without anything to do."""

    rounds: int
    jobs: int
    idle_s: float


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """Growth of each process, and what each costs idle."""
    use = collected.get(ResourceUse)
    return Judged(
        measurements=[
            at_most("descriptors that a process has more", _most(use.more_descriptors), limits.more_descriptors),
            at_most("memory that a process has more", _most(use.more_bytes) / MB, limits.more_mb, "MB"),
            at_most(
                f"processor of {limits.fleet} idle workers",
                use.idle_worker_percent * limits.fleet if use.idle_worker_percent is not None else None,
                limits.idle_fleet_percent,
                "%",
            ),
            at_most("processor of an idle API", use.idle_api_percent, limits.idle_api_percent, "%"),
        ],
        evidence=[
            Evidence(what="rounds of clients that came and went", had=use.rounds, least=least.rounds),
            Evidence(what="jobs run in them", had=use.jobs, least=least.jobs),
            Evidence(what="without anything to do", unit="seconds", had=round(use.idle_s, 1), least=least.idle_s),
        ],
        explanation=f"Against the state after the first rounds: {use.describe()}.",
    )


def _most(by_process: dict[str, int]) -> int:
    return max(by_process.values(), default=0)


CRITERION: Final = CriterionSpec(
    id="resources",
    title="Nothing grows with use",
    sentence="However many clients and jobs have come and gone, each process holds what it held; idle it costs little.",
    source="Plan, success criterion: resources",
    measured=(
        "Rounds of clients of each kind that connect, follow their jobs to the end and leave; descriptors and memory "
        "of each process after the first rounds and after the last; then processor time with nothing to do."
    ),
    needs=(ResourceUse,),
    limits=Limits,
    least=Least,
    judge=judge,
)
