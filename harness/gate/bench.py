"""What every phase works with: the run's folder and processes, its limits, its options, and a voice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from harness.cassettes.replay.files import Played
from harness.criteria.limits import Least, Limits
from harness.criteria.statements import CriterionId
from harness.gate.findings import Findings
from harness.gate.profiles import Profile
from harness.history import CheckResult
from harness.processes import Processes, RedisServer, open_redis
from harness.results import Column


class Stage(StrEnum):
    """Where a phase stands, for the live display."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked of the gate. URLs name a side that somebody else started; None is started here."""

    profile: str = "quick"
    out: Path = Path("out")
    legacy: str | None = None
    candidate: str | None = None
    redis: str | None = None
    only: tuple[CriterionId, ...] = ()
    defect: str | None = None
    thresholds: Path | None = None
    seed: int = 1729
    command: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Recall:
    """What several runs against the same hub need to find out only once: how the hub plays the recordings."""

    hub: dict[Column, list[Played]] = field(default_factory=dict)


@dataclass(kw_only=True)
class Shared:
    """What one phase leaves for others."""

    recall: Recall = field(default_factory=Recall)

    checks: list[tuple[str, dict[str, CheckResult]]] = field(default_factory=list)
    """What the checkers said of each phase's history, for criteria that look at all of them."""
    only_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a phase in the background when all that is left of it is waiting, so that others may have the machine."""
    redis: RedisServer | None = None
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What one phase works with. `tell` takes a sentence for the live display, `overlay` is a seeded defect."""

    options: Options
    folder: Path
    processes: Processes
    limits: Limits
    least: Least
    profile: Profile
    tell: Callable[[str], None]
    overlay: Path | None = None
    wanted: frozenset[CriterionId] = frozenset(CriterionId)
    shared: Shared = field(default_factory=Shared)

    def wants(self, *criteria: CriterionId) -> bool:
        """Whether any of these is to be judged in this run (`--only`)."""
        return bool(self.wanted.intersection(criteria))

    @property
    def given_redis(self) -> str | None:
        """The Redis that the user named, None for an embedded one of ours.

        A seeded defect may sit in the functions that all who use a Redis share: it never gets the user's.
        """
        return None if self.overlay else self.options.redis

    async def redis(self) -> RedisServer:
        """The Redis that phases share, a room each; opened when it is first asked for."""
        async with self.shared.starting:
            if self.shared.redis is None:
                self.shared.redis = await asyncio.to_thread(open_redis, self.given_redis, self.processes)
            return self.shared.redis

    def path(self, *parts: str) -> Path:
        """A path below the run's folder, its parent made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of the run. `feeds` are the criteria that it judges: all of them, whatever happens.

    A phase in the background sets `only_waiting` when others may begin, and ends when it ends.
    """

    name: str
    about: str
    feeds: tuple[CriterionId, ...]
    gather: Callable[[Bench], Awaitable[Findings]]
    background: bool = False
