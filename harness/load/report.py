"""A load as a run of the results model: `run.json`, which `hubgate report` draws, and the plots that the gate takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.history.absences import BROWN_OUTS, Part
from harness.load.arrivals import Shape
from harness.load.latencies import Metric
from harness.load.ledger import ACKNOWLEDGED, Outcome
from harness.load.results import LoadResult, MemorySeries
from harness.load.swarm import LatencyResult
from harness.results import (
    About,
    Chart,
    Distribution,
    Limit,
    Line,
    LogFile,
    Machine,
    Mark,
    Moment,
    Parts,
    Run,
    Series,
    Tally,
    Target,
    Verdict,
    conclude,
    save,
)

GOOD: Final = (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED)
TIMED: Final = (Metric.CLAIMED, Metric.PROGRESS_SEEN, Metric.ENDED)
AWAY: Final = {
    Part.SERVER: "a server away",
    Part.REDIS: "Redis away",
    Part.LEGACY: "brown-out",
    Part.ALL_LEGACY: "brown-out of everybody",
}
HEADLINES: Final = {
    Verdict.PASS: "passes this load",
    Verdict.FAIL: "fails this load",
    Verdict.INCONCLUSIVE: "was not loaded well enough to tell",
}


def write_run(result: LoadResult, folder: Path, command: Sequence[str]) -> Path:
    """Write `run.json` into the load's folder."""
    return save(run_of(result, folder, command), folder)


def run_of(result: LoadResult, folder: Path, command: Sequence[str]) -> Run:
    """The load as a run of its own, with one criterion: its verdict."""
    swarm = result.swarm
    target = Target(name=result.side, kind=result.side, url=swarm.host, started_by_us=result.owned)
    return conclude(
        about(folder, command, f"load, {swarm.plan.shape}", [target], swarm.started_at, swarm.seconds, swarm.plan.seed),
        Parts(
            criteria=[result.judgement],
            distributions=distributions_of(result),
            charts=charts_of(result),
            tallies=tallies_of(result),
            logs=[LogFile(path=name, about="history of the load") for name in result.history],
        ),
        headline=f"The {result.side} {HEADLINES[result.judgement.verdict]}.",
    )


def about(
    folder: Path,
    command: Sequence[str],
    profile: str,
    targets: Iterable[Target],
    started_at: float,
    seconds: float,
    seed: int | None = None,
) -> About:
    """Which load this was, on this machine; `started_at` is seconds since the epoch."""
    return About(
        id=folder.name,
        started_at=datetime.fromtimestamp(started_at, UTC),
        seconds=seconds,
        profile=profile,
        command=tuple(command),
        machine=Machine.here(),
        targets=tuple(targets),
        seed=seed,
    )


def distributions_of(result: LoadResult, limits: Mapping[Metric, float] | None = None) -> list[Distribution]:
    """Every latency, overall and by protocol; `limits` of their p99, where they are not the load's own."""
    limits = result.spec.demands.most_p99_ms if limits is None else limits
    return [
        Distribution(
            id=f"{result.side}-{metric.slug}",
            title=f"{metric.heading} ({result.side})",
            unit="ms",
            series=series_of(found),
            limits=(Limit(value=limits[metric], label="limit", percent=99.0),) if metric in limits else (),
        )
        for metric, found in result.swarm.latencies.items()
    ]


def series_of(found: LatencyResult) -> tuple[Series, ...]:
    """All values first, then by protocol where there is more than one."""
    return (found.overall, *(found.by_transport.values() if len(found.by_transport) > 1 else ()))


def charts_of(result: LoadResult, limits: Mapping[Metric, float] | None = None) -> list[Chart]:
    """Throughput, queue depth, latencies over time, memory over time, in a migration the share of legacy users.

    `limits` of the p99 of latencies, where they are not the load's own.
    """
    swarm = result.swarm
    limits = result.spec.demands.most_p99_ms if limits is None else limits
    charts = [_throughput(result), _depth(result)]
    charts += [_latency(result, metric, limits.get(metric)) for metric in TIMED if metric in swarm.latencies]
    if measured := [series for series in result.memory if series.points]:
        labels = [f"{one.part} ({one.processes})" if one.processes > 1 else one.part for one in measured]
        lines = [memory_line(label, one) for label, one in zip(labels, measured, strict=True)]
        charts.append(_chart(result, "memory", "Memory, proportional set size", "MB", lines))
    if swarm.plan.shape is Shape.MIGRATION:
        shares = [(one.second, 100 * swarm.plan.legacy_share_at(one.second)) for one in swarm.over_time]
        title = "Share of users on the old protocol"
        charts.append(
            _chart(result, "legacy-share", title, "%", [Line.of("planned", shares)], marks=_away(result, BROWN_OUTS))
        )
    return charts


def memory_line(label: str, series: MemorySeries) -> Line:
    """Its memory over time in MB."""
    return Line.of(label, [(second, size / 1e6) for second, size in series.points])


def tallies_of(result: LoadResult) -> list[Tally]:
    """What became of the jobs, and the errors by kind."""
    jobs, errors = result.swarm.jobs, result.swarm.errors
    counts = {one: jobs.outcomes.get(one, 0) for one in Outcome if one in ACKNOWLEDGED}
    tallies = [
        Tally.of(
            id=f"{result.side}-jobs",
            title=f"Acknowledged jobs of the load on the {result.side}",
            total_label="acknowledged jobs",
            total=jobs.acknowledged,
            good={one.replace("_", " "): counts[one] for one in GOOD},
            bad={one.replace("_", " "): count for one, count in counts.items() if one not in GOOD},
        )
    ]
    if errors:
        title = f"Errors of the load on the {result.side}, by kind"
        total = sum(errors.values())
        tallies.append(
            Tally.of(id=f"{result.side}-errors", title=title, total_label="errors", total=total, good={}, bad=errors)
        )
    return tallies


def _throughput(result: LoadResult) -> Chart:
    over_time, plan = result.swarm.over_time, result.swarm.plan
    width = over_time[1].second - over_time[0].second if len(over_time) > 1 else 1.0
    lines = [
        Line.of("planned", [(one.second, plan.rate_at(one.second)) for one in over_time]),
        Line.of("submitted", [(one.second, one.submitted / width) for one in over_time]),
        Line.of("ended", [(one.second, one.ended / width) for one in over_time]),
    ]
    return _chart(result, "throughput", "Throughput", "jobs/s", lines)


def _depth(result: LoadResult) -> Chart:
    over_time = result.swarm.over_time
    lines = [
        Line.of("waiting, as clients see it", [(one.second, one.waiting) for one in over_time]),
        Line.of("running, as clients see it", [(one.second, one.running) for one in over_time]),
    ]
    if result.depth:
        lines.append(Line.of("pending, as the stack counts", [(one.second, one.pending) for one in result.depth]))
    return _chart(result, "depth", "Depth of the queue", "jobs", lines)


def _latency(result: LoadResult, metric: Metric, limit: float | None) -> Chart:
    found = result.swarm.latencies[metric]
    lines = [
        Line.of("p50", [(window.second, window.p50_ms) for window in found.over_time]),
        Line.of("p99", [(window.second, window.p99_ms) for window in found.over_time]),
        Line.of("max", [(window.second, window.max_ms) for window in found.over_time]),
    ]
    limits = (Limit(value=limit, label="limit of p99"),) if limit is not None else ()
    moments = tuple(Moment(x=one.second, jobs=one.slowest) for one in found.over_time if one.slowest)
    return _chart(
        result, f"{metric.slug}-over-time", f"{metric.heading} over time", "ms", lines, limits=limits, moments=moments
    )


def _chart(result: LoadResult, slug: str, title: str, unit: str, lines: Iterable[Line], **more: Any) -> Chart:
    """A chart of one side, with the waves of exits marked."""
    more = {"marks": _marks(result)} | more
    return Chart(id=f"{result.side}-{slug}", title=f"{title} ({result.side})", unit=unit, lines=tuple(lines), **more)


def _marks(result: LoadResult) -> tuple[Mark, ...]:
    """What was away, and waves of exits: those within a second of each other are one."""
    marks: list[Mark] = []
    exits = sorted(one.at - result.swarm.started_at for one in (result.fleet.exits if result.fleet else []))
    for at in exits:
        if not marks or at > marks[-1].x + 1:
            marks.append(Mark(x=round(at, 2), label="workers killed"))
    return (*marks, *_away(result))


def _away(result: LoadResult, parts: Collection[Part] = frozenset(Part)) -> tuple[Mark, ...]:
    """When servers or Redis were away, or the hub's protocols were refused."""
    start, end = result.swarm.started_at, result.swarm.seconds
    away = [one for one in result.absences if one.part in parts]
    return tuple(
        Mark(x=round(one.from_s - start, 2), until=round(min(one.to_s - start, end), 2), label=AWAY[one.part])
        for one in away
    )
