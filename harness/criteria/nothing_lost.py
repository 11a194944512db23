"""Every acknowledged job ends exactly once, whatever happens to workers."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import WorkerFaults, all_decided, failed_demands
from harness.load.population import Kind
from harness.results import Evidence, Link, LinkTo, count, decided

OWN: Final = ("lost", "ended_twice")
JUDGED_ELSEWHERE: Final = ("recovery", "double_claim")
"""Checkers whose violations the criteria recovery and no-conflicts count."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many acknowledged jobs may be lost, end twice, or break another rule of the history."""

    lost: int
    ended_twice: int
    other_violations: int


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Acknowledged jobs and kills of workers in the load with faults; the rest over all histories."""

    jobs: int
    kills: int
    runs: int
    failures: int
    cancels: int
    cancels_of_running: int


EXAMINED: Final = {
    "runs": ("runs that workers wrote down", "run_twice"),
    "failures": ("failed attempts", "retries"),
    "cancels": ("cancelled jobs", "started_after_cancel"),
    "cancels_of_running": ("jobs cancelled while they ran", "runs_on"),
}
"""What the checkers have to have examined, by the name of its least number: in words, and by which checker."""


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """Nothing lost, nothing twice, no other rule broken: in the history of every load of the run."""
    load = collected.get(WorkerFaults).load
    meant = load.spec.population.all_kinds if load.spec.population else {Kind.PLAIN}
    histories = [checks for _, checks in collected.histories]
    lost, twice = (sum(len(checks[name].violations) for checks in histories) for name in OWN)
    others = Counter[str]()
    for name, check in ((name, check) for checks in histories for name, check in checks.items()):
        others[name] += 0 if name in {*OWN, *JUDGED_ELSEWHERE} else len(check.violations)
    doubts = list(dict.fromkeys(doubt for checks in histories for name in OWN for doubt in checks[name].doubts))
    examples = [check.violations[0].sentence for checks in histories for check in checks.values() if check.violations]
    failed, which = failed_demands([load])
    acknowledged = load.checks["accounting"].counts.get("acknowledged", 0)
    return Judged(
        measurements=[
            count("acknowledged jobs lost", lost, limits.lost),
            count("jobs that ended twice", twice, limits.ended_twice),
            count("other rules broken", others.total(), limits.other_violations),
            failed,
        ],
        evidence=[
            Evidence(what="acknowledged jobs", had=acknowledged, least=least.jobs),
            Evidence(what="kills", had=load.checks["recovery"].counts.get("killed", 0), least=least.kills),
            Evidence(what="kinds of jobs", had=len(load.swarm.jobs.kinds), least=len(meant)),
            *(
                Evidence(what=what, had=sum(checks[name].examined for checks in histories), least=getattr(least, field))
                for field, (what, name) in EXAMINED.items()
            ),
            Evidence(what="histories without a gap", had=0 if doubts else 1, least=1),
            *(all_decided([load]) or decided(sum(len(check.undecided) for one in histories for check in one.values()))),
        ],
        links=[Link(to=LinkTo.TALLY, ref="faults", label="where every job is")],
        explanation=" ".join(
            [*examples[:3], *(f"{name}: {number}." for name, number in (+others).items()), *which, *doubts]
        ),
    )


CRITERION: Final = CriterionSpec(
    id="nothing-lost",
    title="No acknowledged job is lost",
    sentence="While workers are killed, stopped and restarted, every acknowledged job ends exactly once.",
    source="Plan, Phase 2B: no job lost when workers fail",
    measured=(
        "The history of a load under waves of SIGKILL, SIGTERM and SIGSTOP is gone through by every checker, and "
        "so are those of all other loads of the run."
    ),
    needs=(WorkerFaults,),
    limits=Limits,
    least=Least,
    judge=judge,
)
