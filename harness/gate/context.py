"""What every phase works with, what it brings back, and what it means where it broke off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from harness.cassettes.replay.files import Played
from harness.criteria import waivers
from harness.criteria.definition import AnySpec, Checks, Judged, NotMeasured
from harness.criteria.limits import LimitsFile
from harness.defects.mutants import Mutant
from harness.gate.profiles import Profile
from harness.processes import ProcessDied, Processes, RedisServer, open_redis
from harness.protocols.description import Described
from harness.results import Criterion, Link, LinkTo, Parts, PhaseTime, count
from harness.targets import HubTarget, StackTarget, Target


class PhaseStatus(StrEnum):
    """How far a phase is, for the live display."""

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
    protocol: Described | None = None
    """What the stack speaks, where it is not ours: then nothing else is known of it."""
    legacy_protocol: Described | None = None
    redis: str | None = None
    token: str | None = None
    """What the sides that were given demand."""
    namespace: str | None = None
    """The prefix, or the number of the database, with which the given API runs for this run alone."""
    allow_load_on: tuple[str, ...] = ()
    """Hosts, other than this machine, that may be put under load."""
    only: tuple[str, ...] = ()
    """Ids of criteria; empty for all."""
    defect: str | None = None
    mutant: Mutant | None = None
    thresholds: Path | None = None
    waivers: Path | None = waivers.DEFAULT
    """None where nothing is waived: a selftest asks what the criteria themselves say."""
    seed: int = 1729
    command: tuple[str, ...] = ()
    environment: str = ""
    client_version: str = ""
    stack_version: str = ""
    """Of the stack that is judged; empty for our own, whose revision counts."""

    @property
    def changed(self) -> str | None:
        """The name of what is wrong on purpose with the stack of this run."""
        return self.mutant.name if self.mutant else self.defect

    @property
    def spoken(self) -> bool:
        """Whether the sides are judged by their protocols alone."""
        return self.protocol is not None or self.legacy_protocol is not None

    @property
    def given_hub(self) -> HubTarget | None:
        """The hub that somebody else runs."""
        return HubTarget.at(self.legacy, token=self.token) if self.legacy else None

    @property
    def given_stack(self) -> StackTarget | None:
        """The stack that somebody else runs, in its namespace."""
        if not self.candidate:
            return None
        redis, prefix = self.redis or "", self.namespace or ""
        if redis and prefix.isdecimal():
            redis, prefix = f"{redis.rpartition('/')[0] if urlsplit(redis).path else redis}/{prefix}", ""
        return StackTarget.at(self.candidate, redis_url=redis, prefix=prefix, token=self.token)

    @property
    def given(self) -> list[Target]:
        """The sides that somebody else runs."""
        return [target for target in (self.given_hub, self.given_stack) if target is not None]


@dataclass(kw_only=True)
class HubReplayCache:
    """How the hub plays the recordings: several runs against the same hub need to find that out only once."""

    played: list[list[Played]] = field(default_factory=list)


@dataclass(kw_only=True)
class Shared:
    """What one phase leaves for others."""

    hub_replays: HubReplayCache = field(default_factory=HubReplayCache)
    only_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a phase in the background when all that is left of it is waiting, so that others may have the machine."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by whoever does not want to wait: what has not ended is broken off, and the rest is judged."""
    phases: list[PhaseTime] = field(default_factory=list)
    """When each was at work."""
    began: float = field(default_factory=time.time)
    redis: RedisServer | None = None
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What one phase works with: the run's folder and processes, its options and limits.

    `report` takes a sentence for the live display; `overlay` is a stack with a seeded defect.
    """

    options: Options
    folder: Path
    processes: Processes
    limits: LimitsFile
    profile: Profile
    wanted: tuple[AnySpec, ...]
    """The criteria that are to be judged in this run."""
    report: Callable[[str], None]
    overlay: Path | None = None
    service: str = "simulation"
    """What every job of a load or a suite needs: on a target that others use, a service that only this run has."""
    shared: Shared = field(default_factory=Shared)

    @property
    def given_redis(self) -> str | None:
        """The Redis that the user named, None for an embedded one of ours.

        A seeded defect may sit in the functions that all who use a Redis share: it never gets the user's.
        """
        return None if self.overlay else self.options.redis

    async def redis(self) -> RedisServer:
        """The Redis that phases share, a database each; opened when it is first asked for."""
        async with self.shared.starting:
            if self.shared.redis is None:
                self.shared.redis = await asyncio.to_thread(open_redis, self.given_redis, self.processes)
            return self.shared.redis

    def path(self, *parts: str) -> Path:
        """A path below the run's folder, its parent made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class PhaseResult(Parts, frozen=True, kw_only=True):
    """What one phase brings back: evidence for the criteria, and what the report shows of it."""

    evidence: Sequence[object] = ()
    histories: Sequence[tuple[str, Checks]] = ()


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of the run. `gathers` are the types of evidence that it brings back: all of them, or it fails.

    A phase in the background sets `only_waiting` when others may begin, and ends when it ends.
    """

    name: str
    about: str
    gathers: tuple[type, ...]
    gather: Callable[[RunContext], Awaitable[PhaseResult]]
    background: bool = False

    def serves(self, criteria: Iterable[AnySpec]) -> bool:
        """Whether one of these criteria needs what it gathers."""
        return any(set(self.gathers).intersection(spec.needs) for spec in criteria)


STACK: Final = frozenset({"api", "worker"})
HUB: Final = "hub"
"""Words in the names of processes: of the stack's, as in `replay-api-33` and `worker-7`; of a hub's: `hub-worker-7`."""
DIED: Final = "processes of the stack that ended on their own"
"""What is measured of a stack that crashed."""
REFUSED: Final = (2, 3)
"""Exit statuses by which a process that starts says that it was called wrongly or cannot run here: no fault of the
stack. One that was at work may end with no status of its own accord."""


class PhaseFailure(msgspec.Struct, frozen=True):
    """Why the evidence of one type is not there: part of a phase's result in its place."""

    gathers: tuple[type, ...]
    reason: str
    crashed: bool = False
    """Whether the stack itself ended."""
    log: str | None = None
    """Where the traceback is, below the run's folder."""
    left_out: bool = False
    """Whether the target cannot be asked for it."""

    @property
    def problem(self) -> str | None:
        """The sentence for the run's problems, where it is one."""
        return None if self.crashed or self.log is None else self.reason

    def criterion(self, spec: AnySpec) -> Criterion:
        """A criterion that needed the evidence: failed for the stack's own crash, or not measured."""
        links = [Link(to=LinkTo.FILE, ref=self.log, label="what broke it off")] if self.log else []
        if not self.crashed:
            return Criterion.unmeasured(spec, self.reason, links=links, left_out=self.left_out)
        return spec.concluded(Judged(measurements=[count(DIED, 1)], links=links, explanation=self.reason))


def failure_of(what: str, gathers: tuple[type, ...], error: Exception, log: str) -> PhaseFailure:
    """What an exception that broke off `what` ("The phase “load”") means for those who need these types of evidence."""
    leaves = list(_leaves(error))
    crash = next((leaf for leaf in leaves if _is_crash(leaf)), None)
    if crash is not None:
        return PhaseFailure(gathers, f"{_first_line(crash)}.", crashed=True, log=log)
    if isinstance(error, NotMeasured):
        return PhaseFailure(gathers, str(error), left_out=True)
    why = _first_line(leaves[0] if leaves else error) or type(error).__name__
    return PhaseFailure(gathers, f"{what} broke off: {why}", log=log)


def _first_line(error: Exception) -> str:
    """The sentence of an error; where it leads to a log, with the last line of that."""
    first, *more = str(error).strip().splitlines() or [""]
    return f"{first} {more[-1].strip()}" if more and first.endswith(":") else first


def _is_crash(error: Exception) -> bool:
    if not isinstance(error, ProcessDied):
        return False
    words = error.name.split("-")
    ours = HUB not in words and not STACK.isdisjoint(words)
    return ours and (error.was_ready or error.returncode not in REFUSED)


def _leaves(error: Exception) -> Iterator[Exception]:
    """The exceptions inside groups (a task group raises one), or the exception itself."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
