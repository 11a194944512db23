"""What a load came to, as data: `load.json`, which `hubgate load`, the gate and the report read."""

from __future__ import annotations

import os
from typing import Final, Self

import msgspec

from harness.history import CheckResult
from harness.history.absences import Absence
from harness.load.latencies import Metric
from harness.load.spec import LoadSpec
from harness.load.swarm import SwarmResult
from harness.machine_time import Lost, MachineTime
from harness.results import Criterion, Series, Statement, Verdict
from harness.targets import Side


class WorkerExit(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that ended, by the harness's hand or on its own. Seconds since the epoch."""

    worker: str
    at: float
    ours: bool
    back_after_s: float | None
    """Until its successor was ready; None where it did not come back."""
    status: int | None = None
    asked: bool = False
    """Whether a job of the population had its process killed."""


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
    lost: list[Lost] = []
    """What others had of the machine meanwhile."""
    absences: list[Absence] = []
    """When the harness had taken servers or Redis away."""
    history: list[str]
    """Files of the run's history, below the run's folder."""
    surroundings: Surroundings
    died: list[str] = []
    """Processes of the target, other than workers, that ended on their own; each with how it ended."""
    notes: list[str] = []
    """What the target could not be asked, or was left with, in a sentence each."""
    checks: dict[str, CheckResult] = {}
    """What each checker says of its history, by the checker's name; empty where nobody asked them."""

    @property
    def machine(self) -> MachineTime:
        """What the load had of the machine."""
        return MachineTime(self.lost)

    @property
    def machine_percent(self) -> float:
        """How much of the machine others left to it, while it lasted."""
        began = self.swarm.started_at
        return 100 * (1 - self.machine.share_lost(began, began + self.swarm.seconds))

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
