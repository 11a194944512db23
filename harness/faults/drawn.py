"""Faults drawn at random, in combinations: the same seed draws the same faults in the same order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

from harness.faults.nemesis import Nemesis, Plan
from harness.faults.network import Cuts, HalfOpen, Partition, Slowness
from harness.faults.processes import KillRedis, KillServers, Role, Signal, Waves
from harness.faults.proxy import Proxy
from harness.faults.redis import Demotion, Failover, FailoverBy, FlushFunctions, FullMemory
from harness.history import HistoryWriter
from harness.processes import Process, RedisGroup, Valkey

CLOCK: Final = Path(__file__).with_name("clock")
AHEAD_S: Final = 3_600.0
MOST_AT_ONCE: Final = 3
SOON_S: Final = 0.05
HALF_OPEN_S: Final = 7.0
"""Longer than a worker or a server waits for an answer: they have to find out by themselves."""


class ClockAhead(KillServers):
    """Servers are sent away and come back with their clock an hour ahead; at the end they are started anew without."""

    async def inject(self) -> None:
        """See `Nemesis`."""
        for server in self.victims.processes:
            path = os.pathsep.join((str(CLOCK), server.environment["PYTHONPATH"]))
            server.environment |= {"PYTHONPATH": path, "CLOCK_AHEAD_S": str(AHEAD_S)}
        await super().inject()

    async def heal(self) -> None:
        """See `Nemesis`. The clock goes right with the next start, whoever makes it."""
        for server in self.victims.processes:
            path = server.environment["PYTHONPATH"].removeprefix(f"{CLOCK}{os.pathsep}")
            server.environment = {**server.environment, "PYTHONPATH": path, "CLOCK_AHEAD_S": "0"}
        await super().heal()


class Kind(StrEnum):
    """What may be drawn."""

    WORKERS_KILLED = "workers killed"
    WORKERS_STOPPED = "workers stopped"
    WORKERS_TERMINATED = "workers terminated"
    WORKERS_ABORTED = "workers aborted"
    PARTITION = "way to Redis partitioned"
    SLOW_LINK = "way to Redis slow"
    HALF_OPEN = "way to Redis half open"
    CUT = "way to Redis cut"
    REDIS_KILLED = "Redis killed"
    REDIS_STOPPED = "Redis stopped"
    REDIS_FLUSHED = "Redis without functions"
    REDIS_FULL = "Redis full"
    REDIS_DEMOTED = "Redis demoted"
    FAILOVER = "Redis failed over, killed"
    FAILOVER_ORDERED = "Redis failed over, on order"
    API_KILLED = "API killed"
    API_TERMINATED = "API stopped in order"
    CLOCK_AHEAD = "API with its clock ahead"


PARTS: Final = {
    **dict.fromkeys((Kind.WORKERS_KILLED, Kind.WORKERS_STOPPED, Kind.WORKERS_TERMINATED), "workers"),
    Kind.WORKERS_ABORTED: "workers",
    **dict.fromkeys((Kind.PARTITION, Kind.SLOW_LINK, Kind.HALF_OPEN, Kind.CUT), "link"),
    **dict.fromkeys((Kind.REDIS_KILLED, Kind.REDIS_STOPPED, Kind.REDIS_FLUSHED, Kind.REDIS_FULL), "redis"),
    **dict.fromkeys((Kind.REDIS_DEMOTED, Kind.FAILOVER, Kind.FAILOVER_ORDERED), "redis"),
    **dict.fromkeys((Kind.API_KILLED, Kind.API_TERMINATED, Kind.CLOCK_AHEAD), "api"),
}
"""The part of a deployment that each kind breaks. Of one part, one thing is broken at a time."""
Makers = dict[Kind, Callable[[], Nemesis]]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What of a deployment faults can be done to. `link` is the proxy through which everything reaches Redis."""

    workers: Sequence[Process] = ()
    servers: Sequence[Process] = ()
    valkey: Valkey | None = None
    group: RedisGroup | None = None
    link: Proxy | None = None
    stopped_s: float = 3.0
    """For how long workers are stopped: longer than a lease, so that each finds its job with somebody else."""
    spared: frozenset[Kind] = frozenset()
    """Kinds that mean nothing to this deployment, though what they break is there."""

    def faults(self, writer: HistoryWriter, seed: int) -> Makers:
        """What can be done, and who makes each."""
        found = self._all(writer, seed)
        return {kind: maker for kind, maker in found.items() if kind not in self.spared}

    def _all(self, writer: HistoryWriter, seed: int) -> Makers:
        found: Makers = {}
        if self.workers:
            for kind, how, down_s in (
                (Kind.WORKERS_KILLED, Signal.KILL, 0.3),
                (Kind.WORKERS_STOPPED, Signal.STOP, self.stopped_s),
                (Kind.WORKERS_TERMINATED, Signal.TERMINATE, 0.3),
                (Kind.WORKERS_ABORTED, Signal.ABORT, 0.3),
            ):
                found[kind] = self._waves(writer, seed, how, down_s)
        if self.link:
            link = self.link
            brief, long = Plan(times=1, every_s=SOON_S, for_s=1.5), Plan(times=1, every_s=SOON_S, for_s=HALF_OPEN_S)
            found |= {
                Kind.PARTITION: lambda: Partition(link, writer, seed=seed, plan=brief),
                Kind.SLOW_LINK: lambda: Slowness(link, writer, seed=seed, plan=brief, delay_s=0.05),
                Kind.HALF_OPEN: lambda: HalfOpen(link, writer, seed=seed, plan=long),
                Kind.CUT: lambda: Cuts(link, writer, seed=seed, times=2, every_s=0.4),
            }
        if self.valkey:
            found |= self._of_one_redis(self.valkey, writer, seed)
        if self.group:
            group, plan = self.group, Plan(times=1, every_s=SOON_S, for_s=0.2)
            found |= {
                Kind.FAILOVER: lambda: Failover(group, writer, plan=plan),
                Kind.FAILOVER_ORDERED: lambda: Failover(group, writer, plan=plan, by=FailoverBy.ORDER),
            }
        if self.servers:
            found |= {
                Kind.API_KILLED: self._strike(KillServers, Signal.KILL, writer, seed),
                Kind.API_TERMINATED: self._strike(KillServers, Signal.TERMINATE, writer, seed),
                Kind.CLOCK_AHEAD: self._strike(ClockAhead, Signal.TERMINATE, writer, seed),
            }
        return found

    def _strike(
        self, nemesis: type[KillServers], how: Signal, writer: HistoryWriter, seed: int
    ) -> Callable[[], Nemesis]:
        return lambda: nemesis(self.servers, writer, seed=seed, how=how, times=1, every_s=SOON_S)

    def _waves(self, writer: HistoryWriter, seed: int, how: Signal, down_s: float) -> Callable[[], Nemesis]:
        return lambda: Waves(
            self.workers, writer, seed=seed, how=how, waves=1, every_s=SOON_S, down_s=down_s, role=Role.WORKER
        )

    def _of_one_redis(self, valkey: Valkey, writer: HistoryWriter, seed: int) -> Makers:
        plan, at_once = Plan(times=1, every_s=SOON_S, for_s=1.0), Plan(times=1, every_s=SOON_S, for_s=0.0)
        return {
            Kind.REDIS_KILLED: lambda: KillRedis(valkey, writer, seed=seed, every_s=SOON_S),
            Kind.REDIS_STOPPED: lambda: KillRedis(valkey, writer, seed=seed, how=Signal.STOP, every_s=SOON_S),
            Kind.REDIS_FLUSHED: lambda: FlushFunctions(valkey, writer, seed=seed, plan=at_once),
            Kind.REDIS_FULL: lambda: FullMemory(valkey, writer, seed=seed, plan=plan),
            Kind.REDIS_DEMOTED: lambda: Demotion(valkey, writer, seed=seed, plan=plan),
        }


def draw(kinds: Collection[Kind], seed: int) -> Iterator[tuple[Kind, ...]]:
    """Combinations without end, each of one to three kinds of different parts; no kind comes again before all came."""
    random = Random(seed)  # noqa: S311 - choices that can be repeated, no secret
    deck: list[Kind] = []
    while True:
        if not deck:
            deck = random.sample(sorted(kinds), len(kinds))
        chosen = [deck.pop()]
        for kind in list(deck):
            if len(chosen) >= random.randint(1, MOST_AT_ONCE):
                break
            if PARTS[kind] not in {PARTS[one] for one in chosen}:
                chosen.append(kind)
                deck.remove(kind)
        yield tuple(chosen)


class Drawn(Nemesis):
    """Combination after combination until all kinds were drawn, and on for as long as `for_s`.

    Drawn are the kinds of `deck`, by default all that are within reach. Two sides with the same deck and seed draw the
    same, whatever is within the reach of each; what is not is passed over.
    """

    def __init__(
        self,
        reach: Reach,
        writer: HistoryWriter,
        *,
        seed: int,
        for_s: float = 0.0,
        pause_s: float = 1.0,
        deck: Collection[Kind] = (),
    ) -> None:
        super().__init__(writer, seed=seed)
        self._faults = reach.faults(writer, seed)
        self._seed = seed
        self._for_s = for_s
        self._pause_s = pause_s
        self._deck = frozenset(deck or self._faults)
        self.kinds: Final = self._deck.intersection(self._faults)
        """What may be drawn and is within reach."""
        self.struck: list[tuple[Kind, ...]] = []
        """What was done, in order."""

    async def inject(self) -> None:
        """See `Nemesis`."""
        loop = asyncio.get_running_loop()
        until, to_come = loop.time() + self._for_s, set(self._deck)
        for drawn in draw(self._deck, self._seed):
            if loop.time() >= until and not to_come:
                return
            to_come.difference_update(drawn)
            await asyncio.sleep(self._pause_s * self.random.uniform(0.5, 1.0))
            kinds = tuple(kind for kind in drawn if kind in self.kinds)
            self.struck += [kinds] if kinds else []
            async with AsyncExitStack() as open_:
                faults = [await open_.enter_async_context(self._faults[kind]()) for kind in kinds]
                for fault in faults:
                    await fault.done()

    async def heal(self) -> None:
        """See `Nemesis`: each fault is healed at the end of its own block."""
