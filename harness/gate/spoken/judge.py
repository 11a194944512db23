"""The criteria of the plan, by what a protocol alone could show of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from harness.criteria import claims, progress
from harness.criteria.definition import AnySpec, Judged
from harness.criteria.evidence import machine_was_free
from harness.criteria.limits import LimitsFile
from harness.results import Criterion, Evidence, Link, LinkTo, Measurement, SuiteOutcome, SuiteRow, below, count

LEAST_LATENCIES: Final = 20
OF_OURS: Final = (
    "A protocol alone cannot show it: it is asked of hubgate's own stack, by its processes, keys and files."
)


class SpokenResults(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks came to, and the latencies in ms. `why` says what could not be asked, by criterion."""

    scenarios: Sequence[SuiteRow]
    why: dict[str, str] = {}
    claimed_ms: Sequence[float] = ()
    progress_ms: Sequence[float] = ()
    free_percent: float = 100.0
    """Of the processors, before anything was asked."""
    log: str = ""


def judged_by_protocol(spec: AnySpec, results: SpokenResults, limits: LimitsFile) -> Criterion:
    """The criterion; outside the verdict where the target cannot be asked for it."""
    ours = [one for one in results.scenarios if one.criterion == spec.id]
    ran = [one for one in ours if one.outcome is not SuiteOutcome.SKIPPED]
    if not ran:
        return Criterion.unmeasured(spec, results.why.get(spec.id, OF_OURS), left_out=True)
    failed = [one for one in ran if one.outcome is SuiteOutcome.FAILED]
    told = [f"{one.name.replace('_', ' ').capitalize()}: {one.failure}." for one in failed]
    latency = [] if failed else _latency(spec, results, limits)
    judged = Judged(
        measurements=[count("checks that failed", len(failed)), *latency],
        evidence=[
            Evidence(what="checks", had=len(ran), least=1),
            *machine_was_free(latency, results.free_percent),
        ],
        links=[Link(to=LinkTo.FILE, ref=results.log, label="what each check said")],
        explanation=" ".join([*told, *([results.why[spec.id]] if spec.id in results.why else [])]),
    )
    return spec.concluded(judged)


def cannot_be_asked(spec: AnySpec) -> Criterion:
    """A criterion that no check is evidence for."""
    return Criterion.unmeasured(spec, OF_OURS, left_out=True)


def _latency(spec: AnySpec, results: SpokenResults, limits: LimitsFile) -> list[Measurement]:
    """p99 against the plan's own limit: what our stack is held to beyond that is nobody else's business."""
    if spec.id == claims.CRITERION.id:
        values, what, limit = (
            results.claimed_ms,
            "submit to the first word of the work, p99",
            limits.limits(spec).plan_ms,
        )
    elif spec.id == progress.CRITERION.id and len(results.progress_ms) >= LEAST_LATENCIES:
        values, what, limit = results.progress_ms, "worker to client, p99", limits.limits(spec).plan_ms
    else:
        return []
    ordered = sorted(values)
    return [below(what, ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] if ordered else None, limit, "ms")]
