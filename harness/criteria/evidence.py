"""The types of evidence that the phases of a run gather and the criteria are judged by.

The recordings' evidence is `harness.cassettes.replay.matrix.Matrix`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Final

import msgspec

from harness.history.strikes import Strike
from harness.load.judge import RULE, undecided
from harness.load.latencies import Metric, Transport
from harness.load.results import LoadResult
from harness.results import Evidence, Measurement, SuiteRow, Verdict, below, count, decided

LEAST_FREE_PERCENT: Final = 85.0
"""Of all processor time, while nothing of the run is at work: with less, a long latency may be others' doing."""


class ScenarioResults(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan's scenario suites came to; `log` is their log, below the run's folder."""

    scenarios: list[SuiteRow]
    log: str
    complete: bool = True
    """Whether all of them had their turn."""
    given: bool = False
    """Whether the stack was somebody else's: scenarios that start and stop its processes are left out then."""


class PromiseResults(ScenarioResults, frozen=True, kw_only=True):
    """What the scenario suites came to that hold one promise of the hub or of the stack each."""


class SteadyLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The load with every worker and subscriber; more than one attempt where a latency was over its limit.

    `free_percent` is the least share of the processors that was free before an attempt, and left to it.
    """

    attempts: list[LoadResult]
    free_percent: float

    def median_p99_ms(self, metric: Metric, transport: Transport | None = None) -> float | None:
        """A latency's p99 as the median of the attempts: noise of the machine passes, a regression stays."""
        found = [attempt.swarm.p99_ms(metric, transport) for attempt in self.attempts]
        measured = [value for value in found if value is not None]
        return median_low(measured) if measured else None

    def p99_by_protocol(
        self, what: str, metric: Metric, limit_ms: float, plan_ms: float, names: Mapping[Transport, str]
    ) -> list[Measurement]:
        """That p99 under its limit, by each of these protocols."""
        return [
            below(f"{what} by {name}, p99", self.median_p99_ms(metric, transport), limit_ms, "ms", plan=plan_ms)
            for transport, name in names.items()
        ]

    def typical(self, metric: Metric) -> LoadResult:
        """The attempt that has the median p99 of a latency, for display."""
        median = self.median_p99_ms(metric)
        return next((one for one in self.attempts if one.swarm.p99_ms(metric) == median), self.attempts[0])

    @property
    def describe_attempts(self) -> str:
        """That there was more than one attempt, as a sentence."""
        number = len(self.attempts)
        return f"Measured {number} times, the median counts." if number > 1 else ""


def machine_was_free(latencies: Sequence[Measurement], free_percent: float) -> list[Evidence]:
    """The evidence that a latency over its limit was not somebody else's doing.

    Noise only ever adds to a latency, so good ones need none.
    """
    if all(latency.verdict is Verdict.PASS for latency in latencies):
        return []
    had = round(free_percent, 1)
    return [Evidence(what="of the processors free of others' work", unit="%", had=had, least=LEAST_FREE_PERCENT)]


class PollingLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The load on a stack whose wake-ups are switched off; None where somebody else runs it."""

    load: LoadResult | None


class MemoryLoads(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that one process of the API holds under a load that a hub can bear: their median, and how many samples."""

    api_bytes: int
    api_samples: int
    conditions: str
    """The load, in words."""
    loads: list[LoadResult]
    """Those on the stack."""
    on_hub: LoadResult
    """The same load on the hub, beside it."""


class WorkerFaults(msgspec.Struct, frozen=True, kw_only=True):
    """A load whose workers are killed, stopped and restarted."""

    load: LoadResult
    lease_ms: float


class Restarts(msgspec.Struct, frozen=True, kw_only=True):
    """A load during which Redis and the API are killed and started again, and what each kill met."""

    load: LoadResult
    strikes: list[Strike]
    ends_met: int
    """Runs whose end alone met an outage of Redis."""


class MigrationLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A load whose clients move over and back while the hub's protocols are refused for a while, twice."""

    load: LoadResult
    strikes: list[Strike]
    """What each brown-out met."""


class ChaosWorld(msgspec.Struct, frozen=True, kw_only=True):
    """A load under faults drawn at random: what could be drawn, what was, and what each fault met."""

    name: str
    load: LoadResult
    offered: frozenset[str]
    drawn: list[tuple[str, ...]]
    strikes: list[Strike]
    begun_again_ms: list[float] = []
    """How long after its worker's loss each job was begun again that lost one."""

    def describe(self) -> str:
        """What was drawn, as a sentence."""
        return f"{self.name}: {'; '.join(' + '.join(kinds) for kinds in self.drawn)}."


LEAST_ON_HUB: Final = 20
"""Acknowledged jobs: with fewer, what a hub came to is nothing to be held against."""
MATTERS_MS: Final = 2_000
"""Of two sides, times that differ by less are the same."""


class ChaosLoads(msgspec.Struct, frozen=True, kw_only=True):
    """The loads under faults drawn at random: the stack's worlds, and a hub under the same draw."""

    worlds: list[ChaosWorld]
    hub: ChaosWorld | None = None
    """None where the hub was given or left out."""


class LeastMet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the fullest strike has to meet: jobs that run, wait and are in back-off, and subscriptions to such jobs."""

    in_flight: int
    waiting: int
    in_back_off: int
    subscribed: int


MET: Final = {
    "in_flight": "jobs in flight",
    "waiting": "jobs waiting",
    "in_back_off": "jobs in back-off",
    "subscribed": "subscriptions to jobs under way",
}


def at_the_fullest_strike(strikes: Sequence[Strike], least: LeastMet, of: str = "") -> list[Evidence]:
    """The evidence that faults met something; each number is that of the strike that met most of it."""
    return [
        Evidence(
            what=f"{what} at the fullest strike{of}",
            had=max((getattr(strike, field) for strike in strikes), default=0),
            least=getattr(least, field),
        )
        for field, what in MET.items()
    ]


class ResourceUse(msgspec.Struct, frozen=True, kw_only=True):
    """What the stack's processes held after many clients had come and gone, against the state after the first ones."""

    rounds: int
    jobs: int
    more_descriptors: dict[str, int]
    more_bytes: dict[str, int]
    """By process; below 0 where it holds less."""
    idle_s: float
    idle_worker_percent: float | None
    """Of one processor, for one worker, in the mean."""
    idle_api_percent: float | None

    def describe(self) -> str:
        """Growth by process, as a part of a sentence."""
        return ", ".join(
            f"{name} {count:+d} descriptors and {self.more_bytes.get(name, 0) / 1e6:+.1f} MB"
            for name, count in self.more_descriptors.items()
        )


class Contention(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the workers got each job that they all wanted at the same moment."""

    workers: int
    winners: list[int]


class CodeSize(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of code by file, of the rooms that are counted."""

    lines: dict[str, int]


def failed_demands(loads: Sequence[LoadResult]) -> tuple[Measurement, list[str]]:
    """What the loads' own judge found wrong (broken promises, errors, workers' exits), as a count and in sentences.

    Its rules of the history are left out: criteria count what each checker says.
    """
    failed = [
        one
        for load in loads
        for one in load.judgement.measurements
        if one.verdict is Verdict.FAIL and not one.what.startswith(RULE)
    ]
    measurement = count("demands of the load itself that failed", len(failed))
    return measurement, [f"The load itself: {one.describe()}." for one in failed[:2]]


def all_decided(loads: Sequence[LoadResult]) -> list[Evidence]:
    """The evidence that what came too late in these loads was not the doing of others, who had the machine."""
    return decided(sum(undecided(load) for load in loads))


def well_loaded(loads: Sequence[LoadResult]) -> Evidence:
    """The evidence that latencies speak of the target: its load was as planned, and its generator in time."""
    told = sum(load.judgement.verdict is not Verdict.INCONCLUSIVE for load in loads)
    return Evidence(what="loads that were made as planned", had=told, least=len(loads))


def values_of(result: LoadResult, metric: Metric, transport: Transport | None = None) -> int:
    """How many values of a latency a load has, over all clients or by those of one protocol."""
    return result.swarm.series(metric, transport).count
