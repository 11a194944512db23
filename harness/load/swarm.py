"""What the clients of a load measured, as data: `swarm.json` and `live.jsonl`, which Locust's processes write."""

from __future__ import annotations

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


class LatencyResult(msgspec.Struct, frozen=True, kw_only=True):
    """One latency in ms: overall, by the client's protocol, and over time."""

    overall: Series
    by_transport: dict[str, Series] = {}
    over_time: list[Window] = []
    by_locust: dict[str, Series] = {}
    """Locust's own, rounded percentiles by protocol, beside the exact ones."""


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
