"""How soon a job whose worker was lost is claimed again."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import WorkerFaults, machine_was_free
from harness.results import Evidence, Link, LinkTo, at_most, count, decided


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long beyond its lease a lost worker's job may wait for another worker, in ms."""

    beyond_lease_ms: float


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs that lost their worker."""

    jobs: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """The longest wait of a job that lost its worker, until somebody had it again."""
    faults = collected.get(WorkerFaults)
    recovery = faults.load.checks["recovery"]
    never = sum(violation.form == "never" for violation in recovery.violations)
    longest = at_most(
        "worker lost to claimed again, the longest",
        max(recovery.figures.get("claimed_again", ()), default=None),
        faults.lease_ms + limits.beyond_lease_ms,
        "ms",
    )
    return Judged(
        measurements=[longest, count("jobs that nobody took again", never)],
        evidence=[
            Evidence(what="jobs that lost their worker", had=recovery.examined, least=least.jobs),
            *machine_was_free([longest], faults.load.machine_percent),
            *decided(len(recovery.undecided)),
        ],
        links=[Link(to=LinkTo.FIGURE, ref="recovery", label="distribution")],
        explanation=f"The lease is {faults.lease_ms / 1000:g} s.",
    )


CRITERION: Final = CriterionSpec(
    id="recovery",
    title="A killed worker's job runs again soon",
    sentence="A job whose worker was killed is claimed again within its lease and two seconds.",
    source="Plan, Phase 2B: recovery; the hub needs 30 s and another report",
    measured="Kill to next claim, for every job that a killed worker held.",
    needs=(WorkerFaults,),
    limits=Limits,
    least=Least,
    judge=judge,
)
