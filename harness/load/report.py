"""A load as a run of the results model: `run.json`, which `hubgate report` draws, and the plots that the gate takes."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from harness.load.latencies import Figure, Histogram
from harness.load.ledger import ACKNOWLEDGED, Outcome
from harness.load.plan import Shape
from harness.load.results import FigureResult
from harness.load.runner import LoadResult, MemorySeries
from harness.results import (
    About,
    Chart,
    Criterion,
    Distribution,
    Evidence,
    Limit,
    Line,
    LogFile,
    Machine,
    Mark,
    Measurement,
    Run,
    Series,
    Tally,
    Target,
    Threshold,
    Verdict,
    conclude,
    save,
)
from harness.results import Comparison as Sign
from harness.results.figures import PERCENTILES

GOOD: Final = (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED)
TIMED: Final = (Figure.CLAIMED, Figure.PROGRESS_SEEN, Figure.ENDED)


def write_run(result: LoadResult, folder: Path, command: Sequence[str]) -> Path:
    """Write `run.json` into the load's folder."""
    return save(run_of(result, folder, command), folder)


def run_of(result: LoadResult, folder: Path, command: Sequence[str]) -> Run:
    """The load as a run of its own, with one criterion: its verdict."""
    swarm = result.swarm
    about = About(
        id=folder.name,
        started_at=datetime.fromtimestamp(swarm.started_at, UTC),
        seconds=swarm.seconds,
        profile=f"load, {swarm.plan.shape}",
        command=tuple(command),
        machine=machine(),
        targets=(Target(name=result.side, kind=result.side, url=swarm.host, started_by_us=result.owned),),
        seed=swarm.plan.seed,
    )
    verdict = result.judgement.verdict
    words = {
        Verdict.PASS: "passes this load",
        Verdict.FAIL: "fails this load",
        Verdict.INCONCLUSIVE: "was not loaded well enough to tell",
    }
    return conclude(
        about,
        criteria=[criterion_of(result)],
        distributions=distributions_of(result),
        charts=charts_of(result),
        tallies=tallies_of(result),
        logs=[LogFile(path=name, about="history of the load") for name in result.history],
        headline=f"The {result.side} {words[verdict]}.",
    )


def criterion_of(result: LoadResult) -> Criterion:
    """The load's verdict with its reasons and figures."""
    swarm, demands = result.swarm, result.spec.demands
    users = sum(swarm.users.values())
    measurements = [
        Measurement(
            what=f"jobs that are {outcome.replace('_', ' ')}",
            observed=swarm.jobs.outcomes.get(outcome, 0),
            threshold=Threshold(comparison=Sign.EQUAL, limit=0),
            counterexample=True,
        )
        for outcome in (Outcome.LOST, Outcome.END_UNSEEN, Outcome.UNFINISHED)
    ]
    measurements += [
        Measurement(
            what=f"{figure}, p99",
            observed=swarm.p99_ms(figure),
            threshold=Threshold(comparison=Sign.AT_MOST, limit=limit),
            unit="ms",
        )
        for figure, limit in demands.most_p99_ms.items()
    ]
    around = result.surroundings
    noise = f" The machine's load average was {around.load_before:g} before it began." if around else ""
    told = f"{swarm.jobs.ended} of {swarm.jobs.acknowledged} acknowledged jobs ended and their clients were told."
    return Criterion(
        id="load",
        title=f"{swarm.plan.rate:g} jobs/s on the {result.side}",
        sentence=f"With {users} users and up to {swarm.plan.rate:g} jobs a second, every acknowledged job ends once.",
        source="the load's own demands",
        measured=f"{swarm.plan.shape} for {swarm.plan.duration_s:g} s, in an open model, from the intended moments",
        verdict=result.judgement.verdict,
        explanation=(". ".join(result.judgement.reasons) or told) + noise,
        measurements=tuple(measurements),
        evidence=(Evidence(what="acknowledged jobs", had=swarm.jobs.acknowledged, least=demands.least_jobs),),
        seconds=swarm.seconds,
    )


def distributions_of(result: LoadResult) -> list[Distribution]:
    """Every figure, overall and by protocol, at full resolution."""
    return [
        Distribution(
            id=f"{result.side}-{_slug(figure)}",
            title=f"{str(figure).capitalize()} ({result.side})",
            unit="ms",
            series=series_of(found),
            limits=_limits(result, figure),
        )
        for figure, found in result.swarm.figures.items()
    ]


def charts_of(result: LoadResult) -> list[Chart]:
    """Throughput, queue depth, latencies over time, memory over time."""
    charts = [_throughput(result), _depth(result), *_over_time(result), *_memory(result)]
    if result.swarm.plan.shape is Shape.MIGRATION:
        charts.append(_shares(result))
    return charts


def tallies_of(result: LoadResult) -> list[Tally]:
    """What became of the jobs, and the errors by kind."""
    jobs = result.swarm.jobs
    tallies = [
        Tally.of(
            id=f"{result.side}-jobs",
            title=f"Acknowledged jobs of the load on the {result.side}",
            total_label="acknowledged jobs",
            total=jobs.acknowledged,
            good={one.replace("_", " "): jobs.outcomes.get(one, 0) for one in GOOD},
            bad={
                one.replace("_", " "): jobs.outcomes.get(one, 0)
                for one in Outcome
                if one in ACKNOWLEDGED and one not in GOOD
            },
        )
    ]
    if result.swarm.errors:
        tallies.append(
            Tally.of(
                id=f"{result.side}-errors",
                title=f"Errors of the load on the {result.side}, by kind",
                total_label="errors",
                total=sum(result.swarm.errors.values()),
                good={},
                bad=result.swarm.errors,
            )
        )
    return tallies


def series_of(found: FigureResult) -> tuple[Series, ...]:
    """All values first, then by protocol where there is more than one."""
    by_wire = found.by_wire if len(found.by_wire) > 1 else {}
    named = {"all": found.overall, **by_wire}
    series = []
    for label, one in named.items():
        histogram = Histogram.load(one.hdr)
        kept = [percent for percent in PERCENTILES if percent in (0.0, 100.0) or percent <= 100 * (1 - 1 / one.count)]
        values = {percent: histogram.percentile_ms(percent) for percent in kept}
        series.append(Series.of_percentiles(label, one.count, values))
    return tuple(series)


def _limits(result: LoadResult, figure: Figure) -> tuple[Limit, ...]:
    limit = result.spec.demands.most_p99_ms.get(figure)
    return () if limit is None else (Limit(value=limit, label="limit", percent=99.0),)


def _throughput(result: LoadResult) -> Chart:
    swarm = result.swarm
    width = _window_s(result)
    return Chart(
        id=f"{result.side}-throughput",
        title=f"Throughput ({result.side})",
        unit="jobs/s",
        lines=(
            Line.of("planned", [(flow.second, swarm.plan.rate_at(flow.second)) for flow in swarm.flow]),
            Line.of("submitted", [(flow.second, flow.submitted / width) for flow in swarm.flow]),
            Line.of("ended", [(flow.second, flow.ended / width) for flow in swarm.flow]),
        ),
        marks=_marks(result),
    )


def _depth(result: LoadResult) -> Chart:
    flow = result.swarm.flow
    lines = [
        Line.of("waiting, as clients see it", [(one.second, one.waiting) for one in flow]),
        Line.of("running, as clients see it", [(one.second, one.running) for one in flow]),
    ]
    if result.depth:
        lines.append(Line.of("pending, as the stack counts", [(one.second, one.pending) for one in result.depth]))
    return Chart(
        id=f"{result.side}-depth",
        title=f"Depth of the queue ({result.side})",
        unit="jobs",
        lines=tuple(lines),
        marks=_marks(result),
    )


def _over_time(result: LoadResult) -> list[Chart]:
    charts = []
    for figure in TIMED:
        if found := result.swarm.figures.get(figure):
            windows = found.over_time
            charts.append(
                Chart(
                    id=f"{result.side}-{_slug(figure)}-over-time",
                    title=f"{str(figure).capitalize()} over time ({result.side})",
                    unit="ms",
                    lines=(
                        Line.of("p50", [(window.second, window.p50_ms) for window in windows]),
                        Line.of("p99", [(window.second, window.p99_ms) for window in windows]),
                        Line.of("max", [(window.second, window.max_ms) for window in windows]),
                    ),
                    marks=_marks(result),
                )
            )
    return charts


def _memory(result: LoadResult) -> list[Chart]:
    lines = tuple(
        Line.of(f"{series.part} ({series.processes})" if series.processes > 1 else series.part, _megabytes(series))
        for series in result.memory
        if series.points
    )
    if not lines:
        return []
    return [
        Chart(
            id=f"{result.side}-memory",
            title=f"Memory, proportional set size ({result.side})",
            unit="MB",
            lines=lines,
            marks=_marks(result),
        )
    ]


def _megabytes(series: MemorySeries) -> list[tuple[float, float]]:
    return [(second, size / 1e6) for second, size in series.points]


def _shares(result: LoadResult) -> Chart:
    swarm = result.swarm
    shares = [(flow.second, 100 * swarm.plan.legacy_share_at(flow.second)) for flow in swarm.flow]
    return Chart(
        id=f"{result.side}-legacy-share",
        title="Share of users on the old protocol",
        unit="%",
        lines=(Line.of("planned", shares),),
    )


def _marks(result: LoadResult) -> tuple[Mark, ...]:
    """Waves of deaths: those within a second of each other are one."""
    marks: list[Mark] = []
    deaths = sorted(death.at - result.swarm.started_at for death in (result.fleet.deaths if result.fleet else []))
    for at in deaths:
        if not marks or at > marks[-1].x + 1:
            marks.append(Mark(x=round(at, 2), label="workers killed"))
    return tuple(marks)


def _window_s(result: LoadResult) -> float:
    flow = result.swarm.flow
    return flow[1].second - flow[0].second if len(flow) > 1 else 1.0


def _slug(figure: Figure) -> str:
    return figure.name.lower().replace("_", "-")


def machine() -> Machine:
    """This one."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        python=platform.python_version(),
    )
