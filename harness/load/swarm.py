"""What the clients of a load measured, as data: `swarm.json` and `live.jsonl`, which Locust's processes write.

The depth of the queue follows, on any target, from counts over time of what the clients saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from harness.load.arrivals import Plan
from harness.load.excuses import ErrorCount
from harness.load.latencies import Metric, Transport
from harness.load.ledger import Jobs
from harness.results import Series

SCHEMA: Final = 2


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A latency within one stretch of time, in ms; it holds the values whose cause was intended in it."""

    second: float
    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    slowest: dict[str, float] = {}
    """Jobs → their latency, the slowest first."""


class LatencyResult(msgspec.Struct, frozen=True, kw_only=True):
    """One latency in ms: overall, by the client's protocol, and over time."""

    overall: Series
    by_transport: dict[str, Series] = {}
    over_time: list[Window] = []


NOT_MEASURED: Final = LatencyResult(overall=Series(label="all", count=0, percentiles=()))


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """What clients did and saw within one stretch of time, and what that leaves in the system at its end."""

    second: float
    submitted: int
    accepted: int
    claimed: int
    ended: int
    waiting: int
    """The queue's depth: acknowledged, and no claim seen yet."""
    running: int
    """Claimed, and no end seen yet."""


class SwarmResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients measured. Written by Locust's master, or by its only process."""

    schema: int = SCHEMA
    plan: Plan
    host: str
    users: dict[str, int]
    generators: int
    """Processes that made the load."""
    started_at: float
    """Seconds since the epoch: second 0 of every series."""
    seconds: float
    """From the start to the end of the last wait."""
    jobs: Jobs
    latencies: dict[Metric, LatencyResult]
    over_time: list[Throughput]
    errors: dict[str, int]
    errors_at: list[ErrorCount] = []
    """The same, by the second in which they were seen."""
    watched: dict[str, int]
    """Ends of jobs that each monitor saw."""

    def series(self, metric: Metric, transport: Transport | None = None) -> Series:
        """A latency over all clients, or over those of one protocol; without values where nothing was measured."""
        found = self.latencies.get(metric, NOT_MEASURED)
        return found.overall if transport is None else found.by_transport.get(transport, NOT_MEASURED.overall)

    def p99_ms(self, metric: Metric, transport: Transport | None = None) -> float | None:
        """The 99th percentile of a latency; None where nothing was measured."""
        return self.series(metric, transport).at(99)

    @property
    def throughput(self) -> float:
        """Jobs that ended, per second of the plan."""
        return self.jobs.ended / self.plan.duration_s


class LiveLine(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a running load, for a display."""

    second: float
    users: int
    submitted: int
    acknowledged: int
    ended: int
    outstanding: int
    errors: int
    claimed_p99_ms: float
    progress_p99_ms: float
    ended_p99_ms: float


COUNTED: Final = frozenset({Metric.SENT, Metric.ACCEPTED, Metric.CLAIM_SEEN, Metric.ENDED})
"""The latencies that a job has once, each at a step of its life."""
Count = tuple[Metric, int, int]
"""How many jobs took that step in that window of time."""


class ThroughputCounts:
    """Counts by window of time, at the moment of seeing (not of the cause)."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._counts: Counter[tuple[Metric, int]] = Counter()

    def count(self, step: Metric, second: float) -> None:
        """A job took a step; what is no step is not counted."""
        if step in COUNTED:
            self._counts[step, int(max(0.0, second) // self.window_s)] += 1

    def dump(self) -> list[Count]:
        """All counts so far, to be summed elsewhere."""
        return [(step, window, count) for (step, window), count in self._counts.items()]


def throughput_of(dumps: Iterable[list[Count]], window_s: float) -> list[Throughput]:
    """The throughput of all generators together."""
    total: Counter[tuple[Metric, int]] = Counter()
    for dump in dumps:
        for step, window, count in dump:
            total[step, window] += count
    last = max((window for _, window in total), default=-1)
    sums: Counter[Metric] = Counter()
    found = []
    for window in range(last + 1):
        here = {step: total[step, window] for step in COUNTED}
        sums.update(here)
        found.append(
            Throughput(
                second=window * window_s,
                submitted=here[Metric.SENT],
                accepted=here[Metric.ACCEPTED],
                claimed=here[Metric.CLAIM_SEEN],
                ended=here[Metric.ENDED],
                waiting=max(0, sums[Metric.ACCEPTED] - max(sums[Metric.CLAIM_SEEN], sums[Metric.ENDED])),
                running=max(0, sums[Metric.CLAIM_SEEN] - sums[Metric.ENDED]),
            )
        )
    return found
