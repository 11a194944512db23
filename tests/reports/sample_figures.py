"""Figures of the sample runs."""

from __future__ import annotations

import math
from random import Random

from harness.results import (
    Chart,
    Distribution,
    Limit,
    Line,
    Mark,
    Moment,
    Series,
    Timeline,
)


def spread(random: Random, median: float, sigma: float, count: int) -> list[float]:
    return [random.lognormvariate(math.log(median), sigma) for _ in range(count)]


def distributions(random: Random) -> list[Distribution]:
    def one(id: str, title: str, most: float, stack: list[float], hub: list[float]) -> Distribution:  # noqa: A002
        return Distribution(
            id=id,
            title=title,
            unit="ms",
            series=(Series.of_values("new stack", stack), Series.of_values("hub", hub)),
            limits=(Limit(value=most, label="limit for p99", percent=99),),
            sentence="From the intended moment, 48 workers, 50 jobs/s on the stack and 5 jobs/s on the hub.",
        )

    return [
        one("claim-latency", "Submit to claim", 20, spread(random, 3.1, 0.5, 3000), spread(random, 12, 0.35, 300)),
        one("progress-latency", "Worker's progress to client", 30, spread(random, 4, 0.6, 12_000),
            spread(random, 3, 0.4, 1200)),
    ]  # fmt: skip


def charts(random: Random) -> list[Chart]:
    seconds = range(60)
    kills = tuple(Mark(x=at, label="16 workers killed") for at in (15, 30, 45))
    depth = [(s, max(0.0, 40 * math.exp(-((s - 16) % 15) / 4) if s > 14 else 2) + random.random() * 3) for s in seconds]
    return [
        Chart(id="queue-depth", title="Jobs waiting", unit="jobs", lines=(Line.of("pending", depth),), marks=kills),
        Chart(
            id="throughput",
            title="Jobs ended each second",
            unit="jobs/s",
            lines=(Line.of("new stack", [(s, 50 + random.gauss(0, 3)) for s in seconds]),
                   Line.of("hub", [(s, 5 + random.gauss(0, 0.6)) for s in seconds])),
            marks=kills,
        ),
        Chart(
            id="memory",
            title="Memory under the same load",
            unit="bytes",
            lines=(Line.of("API (PSS)", [(s, 36e6 + 2e6 * (1 - math.exp(-s / 9))) for s in seconds]),
                   Line.of("hub (PSS)", [(s, 52e6 + 1.2e5 * s) for s in seconds])),
        ),
        Chart(
            id="saturation",
            title="The highest rate that holds",
            unit="ms",
            x_title="rate",
            x_unit="jobs/s",
            lines=(Line.of("new stack, p99", [(25, 9), (50, 11), (100, 14), (200, 22), (400, 61), (800, 4100)]),
                   Line.of("hub, p99", [(2, 20), (5, 27), (10, 310), (20, 2800)])),
            limits=(Limit(value=500, label="p99 limit"),),
        ),
    ]  # fmt: skip


def spiky(random: Random, lives: list[Timeline]) -> Chart:
    """A latency whose waves of kills are spikes; the first one is of a job whose life is told."""
    top = [(s, 9 + random.random() + 400 * math.exp(-((s - 15) % 15)) * (s >= 15)) for s in range(60)]
    spikes = [
        Moment(
            x=s,
            jobs={
                (lives[0].job_id if lives and (s, n) == (15, 1) else f"load-{s:030d}{n:02d}"): y / n for n in (1, 2, 3)
            },
        )
        for s, y in top
    ]
    return Chart(
        id="claimed-over-time",
        title="Submit to claimed over time",
        unit="ms",
        lines=(Line.of("p50", [(s, 4 + random.random()) for s, _ in top]), Line.of("max", top)),
        marks=tuple(Mark(x=at, label="16 workers killed", until=at + 2) for at in (15, 30, 45)),
        moments=tuple(spikes),
    )
