"""What a load came to, as data: the JSON files that `hubgate load`, the gate and the report read."""

from __future__ import annotations

import os
from typing import Final, Self

import msgspec

from harness.history import CheckResult
from harness.load.arrivals import Plan
from harness.load.latencies import Metric, Transport
from harness.load.ledger import Jobs
from harness.load.spec import LoadSpec
from harness.results import Criterion, Series, Statement, Verdict
from harness.targets import Side

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


class WorkerExit(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that ended, by the harness's hand or on its own. Seconds since the epoch."""

    worker: str
    at: float
    ours: bool
    back_after_s: float | None
    """Until its successor was ready; None where it did not come back."""
    status: int | None = None


class FleetResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the fleet cost and went through."""

    size: int
    alive: int
    """At the end of the load."""
    started_s: float
    """Until all were ready."""
    start_ms: Series
    """Each worker from its start until it was ready, so many at once as there are twice the cores."""
    start_cpu_ms: Series
    """Processor time of each until it was ready."""
    exits: list[WorkerExit]


class MemorySeries(msgspec.Struct, frozen=True, kw_only=True):
    """Proportional set size over time, in bytes, of all processes that play one part."""

    part: str
    processes: int
    points: list[tuple[float, int]]
    """(second of the load, bytes of all together)"""
    per_process: tuple[int, int, int]
    """Least, median and most bytes of a single process, over all samples under load."""


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """The stack's own count of its queue at one moment (seconds since the load's start)."""

    second: float
    pending: int
    claimed: int
    delayed: int


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What else the machine was doing: figures taken beside other work say little about the target."""

    cores: int
    load_before: float
    """The system's load average over a minute, before anything was started."""

    @property
    def busy(self) -> bool:
        """Whether there was more to do than one of its cores could."""
        return self.load_before > self.cores / 2

    @classmethod
    def now(cls) -> Self:
        """This machine at this moment."""
        return cls(cores=os.cpu_count() or 1, load_before=round(os.getloadavg()[0], 2))


NOT_JUDGED: Final = Criterion.unmeasured(
    Statement(id="load", title="The load", sentence="", source="the load's own demands", measured=""),
    "Nobody judged it yet.",
)


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """A load and what it came to: `load.json`."""

    side: Side
    spec: LoadSpec
    owned: bool
    """Whether the target was started for this load."""
    judgement: Criterion = NOT_JUDGED
    swarm: SwarmResult
    fleet: FleetResult | None
    memory: list[MemorySeries]
    depth: list[Depth]
    history: list[str]
    """Files of the run's history, below the run's folder."""
    surroundings: Surroundings
    checks: dict[str, CheckResult] = {}
    """What each checker says of its history, by the checker's name; empty where nobody asked them."""

    def memory_of(self, part: str) -> MemorySeries | None:
        """The memory of all processes that play one part; None where there was none."""
        return next((series for series in self.memory if series.part == part), None)

    def summary(self, folder: str) -> LoadSummary:
        """This load as one of several; its files are in that folder."""
        jobs = self.swarm.jobs
        values = {"throughput": self.swarm.throughput}
        for metric in COMPARED:
            series = self.swarm.series(metric)
            values |= {f"{metric} p{one}": value for one in (50, 99) if (value := series.at(one)) is not None}
        if server := self.memory_of(SERVERS[self.side]):
            values["server memory"] = float(server.per_process[1])
        return LoadSummary(
            side=self.side,
            folder=folder,
            rate=self.spec.plan.rate,
            verdict=self.judgement.verdict,
            reason=self.judgement.explanation,
            submitted=jobs.submitted,
            ended=jobs.ended,
            values=values,
        )


COMPARED: Final = (Metric.ACCEPTED, Metric.CLAIMED, Metric.PROGRESS_SEEN, Metric.PROGRESS_WATCHED, Metric.ENDED)
SERVERS: Final = {Side.HUB: "hub", Side.STACK: "api"}
"""The part that serves the clients, as the memory's series call it."""


class LoadSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One load of a comparison or of a search."""

    side: Side
    folder: str
    rate: float
    verdict: Verdict
    reason: str
    submitted: int
    ended: int
    values: dict[str, float]
    """What is compared, by name: latencies in ms, throughput in jobs per second, memory in bytes."""
