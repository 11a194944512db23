"""The steady load: how soon jobs are claimed and how soon progress is seen, with every worker and subscriber there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness import defects
from harness.criteria.statements import CriterionId
from harness.gate.bench import Bench, Phase
from harness.gate.calm import free_percent, machine_was_free
from harness.gate.findings import Findings, judged
from harness.gate.loads import (
    Figure,
    LoadResult,
    Mix,
    Side,
    Wire,
    charts_of,
    checks_of,
    distributions_of,
    put_load,
    spec_for,
)
from harness.history import CheckResult
from harness.results import Comparison, Criterion, Evidence, Link, LinkTo, Measurement, Threshold

NOBODY_IS_WOKEN: Final = "nobody-is-woken"
POLL_MS: Final = 250
POLLING_RATE: Final = 4.0
ATTEMPTS: Final = 3
"""A latency over its limit is measured again: noise of the machine passes, a regression stays."""
DELIVERY: Final = ("not_delivered", "progress_back", "steps")


async def gather(bench: Bench) -> Findings:
    """Load, load once more where a latency was over its limit, and let the workers poll alone for a while."""
    profile, findings = bench.profile, Findings()
    results: list[LoadResult] = []
    free = 100.0
    while len(results) < ATTEMPTS and not any(excess(bench, result) <= 1 for result in results):
        spec = spec_for(
            bench, Side.STACK, rate=profile.load_rate, seconds=profile.load_s, mix=Mix.of(profile.subscribers)
        )
        free = min(free, await free_percent())
        result, folder = await put_load(bench, f"steady-{len(results) + 1}", spec)
        _, checks = await checks_of(folder)
        bench.shared.checks.append(("steady load", checks))
        results.append(result)
    best = min(results, key=lambda result: excess(bench, result))
    calm = machine_was_free(free) if excess(bench, best) > 1 else []
    findings.distributions = distributions_of(best)
    findings.charts = charts_of(best)
    if bench.wants(CriterionId.CLAIMS):
        findings.criteria.append(judge_claims(bench, best, await _by_polling(bench), len(results), calm))
    findings.criteria.append(judge_progress(bench, best, [checks[name] for name in DELIVERY], len(results), calm))
    return findings


async def _by_polling(bench: Bench) -> LoadResult:
    seconds = bench.profile.polling_jobs / POLLING_RATE
    spec = spec_for(
        bench,
        Side.STACK,
        rate=POLLING_RATE,
        seconds=seconds,
        mix=Mix.of(10),
        poll_ms=POLL_MS,
        overlay=str(_deaf(bench)),
    )
    result, folder = await put_load(bench, "polling", spec)
    _, checks = await checks_of(folder)
    bench.shared.checks.append(("polling", checks))
    return result


def _deaf(bench: Bench) -> Path:
    """The stack, as it is judged, with its wake-ups switched off: nothing but polling is left."""
    if bench.overlay and bench.options.defect == NOBODY_IS_WOKEN:
        return bench.overlay
    source = bench.overlay / "new_stack" if bench.overlay else None
    return defects.apply(defects.named(NOBODY_IS_WOKEN), bench.folder / "overlay-polling", source=source)


def excess(bench: Bench, result: LoadResult) -> float:
    """How far the worst latency is over its limit, as a ratio; without figures, endlessly."""
    limits = {Figure.CLAIMED: bench.limits.claims.p99_ms, Figure.PROGRESS_SEEN: bench.limits.progress.p99_ms}
    seen = {figure: result.swarm.p99_ms(figure) for figure in limits}
    return max((value / limits[figure] if value is not None else float("inf")) for figure, value in seen.items())


def judge_claims(
    bench: Bench, steady: LoadResult, polling: LoadResult, attempts: int, calm: list[Evidence]
) -> Criterion:
    """p99 with wake-ups, and the longest by polling alone."""
    limit, least = bench.limits.claims, bench.least
    by_polling = polling.swarm.figures.get(Figure.CLAIMED)
    return judged(
        CriterionId.CLAIMS,
        [
            Measurement(
                what="submit to claim, p99",
                observed=steady.swarm.p99_ms(Figure.CLAIMED),
                unit="ms",
                threshold=Threshold(comparison=Comparison.BELOW, limit=limit.p99_ms, plan=limit.plan_ms),
            ),
            Measurement(
                what="submit to claim by polling alone, the longest",
                observed=by_polling.overall.max_ms if by_polling else None,
                unit="ms",
                threshold=Threshold(comparison=Comparison.BELOW, limit=limit.polling_max_ms, plan=limit.plan_ms),
            ),
        ],
        [
            Evidence(what="workers", had=_workers(steady), least=least.workers),
            Evidence(what="jobs claimed", had=_count(steady, Figure.CLAIMED), least=least.load_jobs),
            Evidence(what="jobs claimed by polling", had=_count(polling, Figure.CLAIMED), least=least.polling_jobs),
            Evidence(what="of load", unit="seconds", had=steady.swarm.plan.duration_s, least=least.load_seconds),
            *calm,
        ],
        links=[Link(to=LinkTo.FIGURE, ref="stack-claimed", label="distribution")],
        explanation=_again(attempts),
    )


def judge_progress(
    bench: Bench, steady: LoadResult, delivery: list[CheckResult], attempts: int, calm: list[Evidence]
) -> Criterion:
    """p99 for each protocol, and nothing that a subscriber was owed missing, doubled or out of order."""
    limit, least = bench.limits.progress, bench.least
    seen = steady.swarm.figures.get(Figure.PROGRESS_SEEN)
    by_wire = {wire: seen.by_wire.get(wire) if seen else None for wire in Wire}
    threshold = Threshold(comparison=Comparison.BELOW, limit=limit.p99_ms, plan=limit.plan_ms)
    broken = [violation for check in delivery for violation in check.violations]
    return judged(
        CriterionId.PROGRESS,
        [
            *(
                Measurement(
                    what=f"worker to client by {'SSE' if wire is Wire.SSE else 'WebSocket'}, p99",
                    observed=one.p99_ms if one else None,
                    unit="ms",
                    threshold=threshold,
                )
                for wire, one in by_wire.items()
            ),
            Measurement(
                what="updates missing, doubled or out of order",
                observed=len(broken),
                threshold=Threshold(comparison=Comparison.EQUAL, limit=0),
                counterexample=True,
            ),
        ],
        [
            Evidence(what="subscribers", had=sum(steady.swarm.users.values()), least=least.subscribers),
            Evidence(
                what="updates seen",
                had=_count(steady, Figure.PROGRESS_SEEN) + _count(steady, Figure.PROGRESS_WATCHED),
                least=least.progress_updates,
            ),
            *calm,
        ],
        links=[Link(to=LinkTo.FIGURE, ref="stack-progress-seen", label="distribution")],
        explanation=" ".join(filter(None, [*(v.sentence for v in broken[:2]), _again(attempts)])) or None,
    )


def _again(attempts: int) -> str | None:
    return f"Measured {attempts} times, the better one counts." if attempts > 1 else None


def _workers(result: LoadResult) -> int:
    return result.fleet.alive if result.fleet else 0


def _count(result: LoadResult, figure: Figure) -> int:
    found = result.swarm.figures.get(figure)
    return found.overall.count if found else 0


LOAD: Final = Phase(
    name="load",
    about="48 workers, 100 subscribers: how soon jobs are claimed and progress is seen",
    feeds=(CriterionId.CLAIMS, CriterionId.PROGRESS),
    gather=gather,
)
