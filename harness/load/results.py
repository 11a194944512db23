"""What a load came to, as data: the JSON files that `hubgate load`, the gate and the report read."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.load.latencies import Distribution, Figure, Wire
from harness.load.ledger import ACKNOWLEDGED, Outcome
from harness.load.plan import Plan

SCHEMA: Final = 1


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A figure within one stretch of time, in ms; it holds the values whose cause was intended in it."""

    second: float
    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Rounded(msgspec.Struct, frozen=True, kw_only=True):
    """What Locust itself says of a figure on one protocol, in ms, rounded as its page rounds."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class FigureResult(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: overall, by the client's protocol, and over time."""

    overall: Distribution
    by_wire: dict[str, Distribution]
    over_time: list[Window]
    by_locust: dict[str, Rounded] = {}
    """Locust's own, rounded percentiles by protocol, beside the exact ones."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
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


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """The books: every submission is in one outcome, every acknowledged one in one of `ACKNOWLEDGED`."""

    submitted: int
    acknowledged: int
    outcomes: dict[Outcome, int]
    named: dict[Outcome, list[str]]
    """Ids of the jobs in the outcomes that somebody will want to look at, at most `NAMED` each."""

    @property
    def ended(self) -> int:
        """Acknowledged jobs whose end their client saw."""
        return sum(self.outcomes.get(one, 0) for one in (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED))

    @property
    def balanced(self) -> bool:
        """Whether the classes add up."""
        classed = sum(self.outcomes.get(one, 0) for one in ACKNOWLEDGED)
        return sum(self.outcomes.values()) == self.submitted and classed == self.acknowledged


NAMED: Final = 50


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
    figures: dict[Figure, FigureResult]
    flow: list[Flow]
    errors: dict[str, int]
    watched: dict[str, int]
    """Ends of jobs that each monitor saw."""

    def p99_ms(self, figure: Figure, wire: Wire | None = None) -> float | None:
        """The 99th percentile of a figure, by one protocol or overall; None where nothing was measured."""
        found = self.figures.get(figure)
        one = found and (found.overall if wire is None else found.by_wire.get(wire))
        return one.p99_ms if one and one.count else None

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
