"""Faults drawn at random, in combinations: the same seed draws the same faults in the same order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
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

    def faults(self, writer: HistoryWriter, seed: int) -> dict[Kind, tuple[str, Callable[[], Nemesis]]]:
        """What there is: of each its part of the deployment, of which one thing is broken at a time, and its maker."""
        found: dict[Kind, tuple[str, Callable[[], Nemesis]]] = {}
        if self.workers:
            for kind, how, down_s in (
                (Kind.WORKERS_KILLED, Signal.KILL, 0.3),
                (Kind.WORKERS_STOPPED, Signal.STOP, self.stopped_s),
                (Kind.WORKERS_TERMINATED, Signal.TERMINATE, 0.3),
                (Kind.WORKERS_ABORTED, Signal.ABORT, 0.3),
            ):
                found[kind] = ("workers", self._waves(writer, seed, how, down_s))
        if self.link:
            link = self.link
            brief, long = Plan(times=1, every_s=SOON_S, for_s=1.5), Plan(times=1, every_s=SOON_S, for_s=HALF_OPEN_S)
            found |= {
                Kind.PARTITION: ("link", lambda: Partition(link, writer, seed=seed, plan=brief)),
                Kind.SLOW_LINK: ("link", lambda: Slowness(link, writer, seed=seed, plan=brief, delay_s=0.05)),
                Kind.HALF_OPEN: ("link", lambda: HalfOpen(link, writer, seed=seed, plan=long)),
                Kind.CUT: ("link", lambda: Cuts(link, writer, seed=seed, times=2, every_s=0.4)),
            }
        if self.valkey:
            found |= self._of_one_redis(self.valkey, writer, seed)
        if self.group:
            group, plan = self.group, Plan(times=1, every_s=SOON_S, for_s=0.2)
            found |= {
                Kind.FAILOVER: ("redis", lambda: Failover(group, writer, plan=plan)),
                Kind.FAILOVER_ORDERED: ("redis", lambda: Failover(group, writer, plan=plan, by=FailoverBy.ORDER)),
            }
        if self.servers:
            found |= {
                Kind.API_KILLED: ("api", self._strike(KillServers, Signal.KILL, writer, seed)),
                Kind.API_TERMINATED: ("api", self._strike(KillServers, Signal.TERMINATE, writer, seed)),
                Kind.CLOCK_AHEAD: ("api", self._strike(ClockAhead, Signal.TERMINATE, writer, seed)),
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

    def _of_one_redis(
        self, valkey: Valkey, writer: HistoryWriter, seed: int
    ) -> dict[Kind, tuple[str, Callable[[], Nemesis]]]:
        plan, at_once = Plan(times=1, every_s=SOON_S, for_s=1.0), Plan(times=1, every_s=SOON_S, for_s=0.0)
        return {
            Kind.REDIS_KILLED: ("redis", lambda: KillRedis(valkey, writer, seed=seed, every_s=SOON_S)),
            Kind.REDIS_STOPPED: (
                "redis",
                lambda: KillRedis(valkey, writer, seed=seed, how=Signal.STOP, every_s=SOON_S),
            ),
            Kind.REDIS_FLUSHED: ("redis", lambda: FlushFunctions(valkey, writer, seed=seed, plan=at_once)),
            Kind.REDIS_FULL: ("redis", lambda: FullMemory(valkey, writer, seed=seed, plan=plan)),
            Kind.REDIS_DEMOTED: ("redis", lambda: Demotion(valkey, writer, seed=seed, plan=plan)),
        }


def draw(kinds: dict[Kind, str], seed: int) -> Iterator[tuple[Kind, ...]]:
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
            if kinds[kind] not in {kinds[one] for one in chosen}:
                chosen.append(kind)
                deck.remove(kind)
        yield tuple(chosen)


class Drawn(Nemesis):
    """Combination after combination until all kinds were drawn, and on for as long as `for_s`."""

    def __init__(
        self, reach: Reach, writer: HistoryWriter, *, seed: int, for_s: float = 0.0, pause_s: float = 1.0
    ) -> None:
        super().__init__(writer, seed=seed)
        self._faults = reach.faults(writer, seed)
        self._seed = seed
        self._for_s = for_s
        self._pause_s = pause_s
        self.kinds: Final = frozenset(self._faults)
        """What may be drawn."""
        self.struck: list[tuple[Kind, ...]] = []
        """What was, in order."""

    async def inject(self) -> None:
        """See `Nemesis`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._for_s
        for kinds in draw({kind: part for kind, (part, _) in self._faults.items()}, self._seed):
            if loop.time() >= until and self.kinds <= {kind for drawn in self.struck for kind in drawn}:
                return
            await asyncio.sleep(self._pause_s * self.random.uniform(0.5, 1.0))
            self.struck.append(kinds)
            async with AsyncExitStack() as open_:
                faults = [await open_.enter_async_context(self._faults[kind][1]()) for kind in kinds]
                for fault in faults:
                    await fault.done()

    async def heal(self) -> None:
        """See `Nemesis`: each fault is healed at the end of its own block."""
