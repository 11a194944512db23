"""What a load run is: the target, the users, the fleet, the plan. One struct, also readable from JSON."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Final, Self

import msgspec

from harness.history import Limits
from harness.history.absences import Part
from harness.load.arrivals import Plan, Shape
from harness.load.latencies import Metric
from harness.load.population import DEFAULT_JOB, Population
from harness.protocols import Submission
from harness.targets import Crew, Side

MAX_DELIVERIES: Final = "HUBGATE_MAX_DELIVERIES"
"""The stack's setting that the checkers have to know."""


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """How many users of each kind. On a hub, which has no other protocol, all of them speak the old one."""

    legacy: int = 10
    sse: int = 8
    hybrid: int = 0
    monitors: int = 1
    sse_monitors: int = 1
    twins: int = 0
    """Of the old protocol, with two connections under one id."""
    rest: int = 0
    """Of the hub's REST, which ask again and again how their jobs stand."""
    slow: int = 0
    """Readers of all jobs' events that do not keep up."""

    def on(self, side: Side) -> Self:
        """The users against that side."""
        if side is Side.STACK:
            return self
        submitters = self.legacy + self.sse + self.hybrid + self.twins + self.rest
        return type(self)(
            legacy=submitters, sse=0, hybrid=0, monitors=self.monitors + self.sse_monitors, sse_monitors=0
        )

    def crowded(self) -> Self:
        """The same number of clients, some of them odd: one in ten of the old ones with two connections, one slow."""
        twins = self.legacy // 10
        slow = min(1, self.sse_monitors)
        odd = {"legacy": self.legacy - twins, "twins": twins, "sse_monitors": self.sse_monitors - slow, "slow": slow}
        return msgspec.structs.replace(self, **odd)

    @property
    def users(self) -> int:
        """All of them."""
        return sum(msgspec.structs.astuple(self))

    @classmethod
    def of(cls, users: int, shape: Shape = Shape.STEADY) -> Self:
        """The usual mix of that many: half legacy, 40 % SSE, 10 % monitors.

        In a migration, who submits is hybrid, but for three in ten: an old client that is not ported, and two by REST.
        """
        monitors = max(1, users // 10)
        by_socket = (monitors + 1) // 2
        watching = {"monitors": by_socket, "sse_monitors": monitors - by_socket}
        if shape is Shape.MIGRATION:
            old = users // 10
            return cls(legacy=old, sse=0, hybrid=users - monitors - 3 * old, rest=2 * old, **watching)
        legacy = users // 2
        return cls(legacy=legacy, sse=max(0, users - legacy - monitors), **watching)


class Kills(msgspec.Struct, frozen=True, kw_only=True):
    """Workers that are killed while the load runs, and started again."""

    share: float = 0.33
    """Of the fleet, in each wave."""
    every_s: float = 5.0
    waves: int = 0


PERCENT: Final = re.compile(r"(\d{1,3})-(\d{1,3})(!?)")


class BrownOut(msgspec.Struct, frozen=True, kw_only=True):
    """A window of the load in which the hub's protocols are refused, in percent of its duration."""

    begins: int
    ends: int
    interrupts: bool = False
    """Whether clients with jobs in flight are refused as well."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `FROM-TO`, or `FROM-TO!` where it interrupts. Raises ValueError with a sentence."""
        read = PERCENT.fullmatch(text)
        if read is None or not int(read[1]) < int(read[2]) < 100:
            raise ValueError(f"{text}: it has to be FROM-TO or FROM-TO!, in percent, and over before the load is")
        return cls(begins=int(read[1]), ends=int(read[2]), interrupts=bool(read[3]))

    def __str__(self) -> str:
        return f"{self.begins}-{self.ends}{'!' if self.interrupts else ''}"


def in_order(brown_outs: Iterable[BrownOut]) -> tuple[BrownOut, ...]:
    """By their beginnings. Raises ValueError where one begins before another is over."""
    found = tuple(sorted(brown_outs, key=lambda one: one.begins))
    for one, other in itertools.pairwise(found):
        if other.begins <= one.ends:
            raise ValueError(f"{other}: it begins before {one} is over")
    return found


MOVING: Final = (BrownOut(begins=15, ends=35), BrownOut(begins=65, ends=80, interrupts=True))
"""In a migration: while many clients are on either side, on the way to the new one and on the way back."""


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a load; the least below which it says nothing, and the most that it may show."""

    least_jobs: int = 20
    """Acknowledged jobs."""
    least_share: float = 0.95
    """Of the plan's arrivals, how many must have been sent."""
    most_lag_ms: float = 250.0
    """How late the generator itself may be with 99 % of the submissions."""
    most_errors: float = 0.01
    """Errors, refusals and missing answers, as a share of the submissions."""
    excused_errors: dict[Part, tuple[str, ...]] = {}
    """How the errors begin that clients have while the harness has a part away; an answer may be missing then."""
    most_p99_ms: dict[Metric, float] = {}
    """Limits that the caller sets."""


class LoadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One load run. Without `url` the side is started, and everything about it measured."""

    side: Side = Side.STACK
    plan: Plan = Plan()
    mix: Mix = Mix()
    fleet: int = 48
    """Worker processes of ours (on a hub: connections of one process); 0 where the target has its own."""
    url: str | None = None
    protocol: str = ""
    """The name of what the target at `url` is known by alone; empty where it speaks as hubgate's own clients do."""
    redis: str | None = None
    """The Redis to use; without one an embedded Valkey is started."""
    prefix: str = ""
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Hosts besides this machine that may be put under load."""
    poll_ms: int = 1000
    worker_environment: dict[str, str] = {}
    server_environment: dict[str, str] = {}
    """Settings of our workers, and of our API or hub."""
    overlay: str | None = None
    """A folder whose modules come first: a stack with something made wrong in it."""
    port: int | None = None
    """Where the server that is started listens; without one on a free port."""
    workers_url: str = ""
    """By which way the workers of a hub reach it, where not straight."""
    apart: bool = False
    """Whether each worker of a hub is a process of its own, so that faults can be done to one of them."""
    generators: int = 1
    """Locust processes that make the load; above 1, one more is their master."""
    drain_s: float = 20.0
    job: Submission = DEFAULT_JOB
    population: Population | None = None
    """Draws each job from its weights, with the plan's seed; without one, all are `job`."""
    kills: Kills = Kills()
    brown_outs: tuple[BrownOut, ...] = ()
    """In their order; the stack is one that the load starts."""
    demands: Demands = Demands()
    checked: bool = True
    """Whether the system's own account is recorded, too, and the checkers judge the whole history."""
    limits: Limits = Limits()
    """What the checkers judge by."""
    durable: bool = False
    """Whether the embedded Valkey keeps an append-only file, so that it can be killed."""
    sample_s: float = 2.0
    """How often memory and queue depth are sampled."""

    @property
    def crews(self) -> tuple[Crew, ...]:
        """The kinds of workers that the load's jobs ask for."""
        if self.population:
            return self.population.crews or (Crew(services=tuple(self.population.services)),)
        return (Crew(services=(self.job.service,) if self.url or self.side is Side.HUB else ("*",)),)

    def __post_init__(self) -> None:
        if self.brown_outs and (self.url or self.side is Side.HUB or not self.checked):
            raise ValueError("only a stack that the load starts, and checks, can be told of brown-outs")
        if self.population is None:
            return
        population = self.population.on_hub() if self.side is Side.HUB else self.population
        msgspec.structs.force_setattr(self, "population", population)
        if deliveries := population.settings.get(MAX_DELIVERIES):
            limits = msgspec.structs.replace(self.limits, max_deliveries=int(deliveries))
            msgspec.structs.force_setattr(self, "limits", limits)
