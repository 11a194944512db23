"""Faults of Redis that leave a server running: failed over, demoted, out of memory, without its functions.

Killed and paused it is by `KillRedis`.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

from harness.faults.nemesis import Episodes, Plan
from harness.history import HistoryWriter
from harness.processes import RedisGroup, Valkey
from harness.protocols import EventKind

NOBODY = ("127.0.0.1", "1")
"""An address at which no primary listens."""


class RedisFault(Episodes):
    """Redis cannot do its work for a while: the history excuses what waits for it meanwhile."""

    began = EventKind.REDIS_DOWN
    ended = EventKind.REDIS_UP

    def __init__(self, valkey: Valkey, writer: HistoryWriter, *, seed: int = 0, plan: Plan | None = None) -> None:
        super().__init__(writer, seed=seed, target="redis", plan=plan)
        self.valkey = valkey

    async def run(self, *command: str) -> object:
        """Carry out a command on the server."""
        answer: object = await asyncio.to_thread(self.valkey.execute, *command)
        return answer


class Demotion(RedisFault):
    """The server becomes a replica of a primary that is away: it reads, refuses writes, and unblocks who waits."""

    async def begin(self) -> str:
        """See `Episodes`."""
        await self.run("REPLICAOF", *NOBODY)
        return "a replica of nobody"

    async def end(self) -> None:
        """See `Episodes`."""
        await self.run("REPLICAOF", "NO", "ONE")


class FullMemory(RedisFault):
    """No memory is left: the server refuses every command that could need some, and evicts nothing."""

    async def begin(self) -> str:
        """See `Episodes`."""
        await self.run("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
        return "memory is full"

    async def end(self) -> None:
        """See `Episodes`."""
        await self.run("CONFIG", "SET", "maxmemory", "0")


class FlushFunctions(RedisFault):
    """The functions are gone, as after a restart from a snapshot that was made before they were loaded."""

    async def begin(self) -> str:
        """See `Episodes`."""
        await self.run("FUNCTION", "FLUSH", "SYNC")
        return "functions flushed"

    async def end(self) -> None:
        """See `Episodes`. Who uses the functions has to load them again."""


class FailoverBy(StrEnum):
    """What makes the replica the primary."""

    KILL = "the primary is killed"
    ORDER = "the primary is demoted on order"


class Failover(Episodes):
    """The primary is killed or demoted, the replica takes over, and the former primary comes back as its replica."""

    began = EventKind.REDIS_DOWN
    ended = EventKind.REDIS_UP

    def __init__(
        self,
        group: RedisGroup,
        writer: HistoryWriter,
        *,
        seed: int = 0,
        plan: Plan | None = None,
        by: FailoverBy = FailoverBy.KILL,
    ) -> None:
        super().__init__(writer, seed=seed, target="redis", plan=plan)
        self._group = group
        self._by = by
        self._before: Valkey | None = None

    async def begin(self) -> str:
        """See `Episodes`."""
        self._before = await asyncio.to_thread(self._group.primary)
        await asyncio.to_thread(self._before.kill if self._by is FailoverBy.KILL else self._group.order_failover)
        return self._by

    async def end(self) -> None:
        """See `Episodes`."""
        if self._before:
            await asyncio.to_thread(self._group.wait_for_another, self._before)
            self._before = None
        await asyncio.to_thread(self._group.rejoin)
