"""How soon a job is claimed after its submission."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import PollingLoad, SteadyLoad, failed_demands, machine_was_free, values_of, well_loaded
from harness.load.latencies import Metric
from harness.load.results import LoadResult
from harness.results import Evidence, Link, LinkTo, Measurement, below

NOT_POLLED: Final = "By polling alone it was not judged: nobody else can switch wake-ups off in a given stack."

POLL_SPREAD: Final = 1.1
"""A worker polls after its interval, give or take a tenth, so that workers that start together do not poll together."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In ms: submit to claimed with wake-ups, p99, with the plan's own limit; and by polling alone the longest, beyond
    the time between two polls.
    """

    p99_ms: float
    polling_late_ms: float
    plan_ms: float


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workers, claimed jobs, jobs claimed by polling, and seconds of load."""

    workers: int
    jobs: int
    polling_jobs: int
    seconds: float


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """p99 with wake-ups, and the longest by polling alone."""
    steady, polling = collected.get(SteadyLoad), collected.get(PollingLoad).load
    first = steady.attempts[0]
    p99 = steady.median_p99_ms(Metric.CLAIMED)
    woken = below("submit to claim, p99", p99, limits.p99_ms, "ms", plan=limits.plan_ms)
    loads = [*steady.attempts, *([polling] if polling else [])]
    polled, seen = _polled(polling, limits, least)
    failed, which = failed_demands(loads)
    return Judged(
        measurements=[woken, *polled, failed],
        evidence=[
            Evidence(what="workers", had=first.fleet.alive if first.fleet else 0, least=least.workers),
            Evidence(what="jobs claimed", had=values_of(first, Metric.CLAIMED), least=least.jobs),
            *seen,
            Evidence(what="of load", unit="seconds", had=first.swarm.plan.duration_s, least=least.seconds),
            well_loaded(loads),
            *machine_was_free([woken], steady.free_percent),
            *(machine_was_free(polled, polling.machine_percent) if polling else []),
        ],
        links=[Link(to=LinkTo.FIGURE, ref="stack-claimed", label="distribution")],
        explanation=" ".join([*which, steady.describe_attempts, *([] if polling else [NOT_POLLED])]).strip(),
    )


def _polled(load: LoadResult | None, limits: Limits, least: Least) -> tuple[list[Measurement], list[Evidence]]:
    if load is None:
        return [], []
    longest = load.swarm.series(Metric.CLAIMED).at(100)
    between_ms = load.spec.poll_ms * POLL_SPREAD
    late = None if longest is None else max(0.0, longest - between_ms)
    what = f"submit to claim by an idle worker that polls, the longest, beyond {between_ms:g} ms between two polls"
    polled = below(what, late, limits.polling_late_ms, "ms")
    seen = Evidence(what="jobs claimed by polling", had=values_of(load, Metric.CLAIMED), least=least.polling_jobs)
    return [polled], [seen]


CRITERION: Final = CriterionSpec(
    id="claims",
    title="Jobs are claimed at once",
    sentence="With 48 worker processes on one Redis, a job is claimed well below a second after its submission.",
    source="Plan, Phase 2B: 40+ workers, sub-second claims",
    measured=(
        "Submit to claim at a constant arrival rate, from the intended moment; and once more with wake-ups switched "
        "off, where each job has one idle worker that serves it and is found by who polls at the default interval."
    ),
    needs=(SteadyLoad, PollingLoad),
    limits=Limits,
    least=Least,
    judge=judge,
)
