"""Every acknowledged job ends exactly once, whatever happens to workers."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import WorkerFaults
from harness.results import Evidence, Link, LinkTo, count

JUDGED_ELSEWHERE: Final = ("recovery", "double_claim", "accounting")
"""Checkers whose violations another criterion counts, or that only count."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many acknowledged jobs may be lost, end twice, or break another rule of the history."""

    lost: int
    ended_twice: int
    other_violations: int


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Acknowledged jobs, and kills of workers."""

    jobs: int
    kills: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """Nothing lost, nothing twice, no other rule broken."""
    checks = collected.get(WorkerFaults).load.checks
    own = ("lost", "ended_twice")
    others = {name: len(check.violations) for name, check in checks.items() if name not in {*own, *JUDGED_ELSEWHERE}}
    broken = {name: number for name, number in others.items() if number}
    doubts = list(dict.fromkeys(doubt for name in own for doubt in checks[name].doubts))
    examples = [check.violations[0].sentence for check in checks.values() if check.violations][:3]
    return Judged(
        measurements=[
            count("acknowledged jobs lost", len(checks["lost"].violations), limits.lost),
            count("jobs that ended twice", len(checks["ended_twice"].violations), limits.ended_twice),
            count("other rules broken", sum(broken.values()), limits.other_violations),
        ],
        evidence=[
            Evidence(
                what="acknowledged jobs", had=checks["accounting"].counts.get("acknowledged", 0), least=least.jobs
            ),
            Evidence(what="kills", had=checks["recovery"].counts.get("killed", 0), least=least.kills),
            Evidence(what="histories without a gap", had=0 if doubts else 1, least=1),
        ],
        links=[Link(to=LinkTo.TALLY, ref="jobs", label="where every job is")],
        explanation=" ".join([*examples, *(f"{name}: {number}." for name, number in broken.items()), *doubts]),
    )


CRITERION: Final = CriterionSpec(
    id="nothing-lost",
    title="No acknowledged job is lost",
    sentence="While workers are killed, stopped and restarted, every acknowledged job ends exactly once.",
    source="Plan, Phase 2B: no job lost when workers fail",
    measured="The history of a load under waves of SIGKILL, SIGTERM and SIGSTOP, gone through by every checker.",
    needs=(WorkerFaults,),
    limits=Limits,
    least=Least,
    judge=judge,
)
