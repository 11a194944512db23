"""Changes that are answered only once they are on disk, or on so many replicas."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from new_stack.queue.batcher import Answer, Batcher, Item
from new_stack.queue.connection import Argument, Command, Connection, Reply
from new_stack.queue.errors import QueueError, QueueUnavailable
from new_stack.queue.failover.following import MOVES
from new_stack.queue.failover.refusals import RedisMoved
from new_stack.settings import SettingsError

MEMORY: Final = "memory"
DISK: Final = "disk"
_REPLICAS: Final = re.compile(r"replicas=([1-9][0-9]?)")

BARRIER_MS: Final = 60_000
DISK_SINCE: Final = (7, 2)
"""The version of Redis that has WAITAOF."""


def check_acknowledgement(kind: str) -> None:
    """Raises SettingsError for one that does not exist."""
    if kind not in {MEMORY, DISK} and not _replicas_of(kind):
        raise SettingsError(f"HUBGATE_ACKNOWLEDGEMENT must be memory, disk or replicas=N, not {kind!r}.")


def _replicas_of(kind: str) -> int:
    """How many replicas must have a change before it is answered."""
    found = _REPLICAS.fullmatch(kind)
    return int(found[1]) if found else 0


class GroupCommit(Batcher[Item, Answer]):
    """Collects items for as long as the last run is under way."""

    def __init__(self, run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]) -> None:
        super().__init__(run)
        self._under_way = asyncio.Lock()

    async def _answer(self) -> None:
        async with self._under_way:
            await super()._answer()


class Acknowledgement:
    """Sends commands over a connection of its own, and waits for the disk, or the replicas, to have what they did.

    `barrier` is a key that is written before each wait. Where memory is enough, it sends over the shared connection.
    """

    def __init__(
        self, kind: str, shared: Connection, connect: Callable[[], Connection], barrier: str, *, wait_ms: int
    ) -> None:
        self._kind = kind
        self._replicas = _replicas_of(kind)
        self._wait_ms = wait_ms
        self._connection = shared if kind == MEMORY else connect()
        self._barrier = barrier
        self._disk_of = ""
        """The server (its run id) of which we know that WAITAOF can be relied on."""
        self._commits: GroupCommit[Command, Reply | QueueError] = GroupCommit(self._commit)

    async def call(self, *command: Argument) -> Reply:
        """Send one command. Raises QueueUnavailable, also where it was carried out and that cannot be confirmed."""
        if self._kind == MEMORY:
            return await self._connection.call(*command)
        reply = await self._commits.add(command)
        for _ in range(MOVES):
            if isinstance(reply, RedisMoved):  # not carried out, and the node that has the keys is opened next
                reply = await self._commits.add(command)
        if isinstance(reply, QueueError):
            raise reply
        return reply

    async def _commit(self, commands: Sequence[Command]) -> list[Reply | QueueError]:
        """Group commit: all commands in one go, then one wait for the disk or the replicas to have them.

        The barrier is a write of this connection: without one, WAIT does not cover what a repeated call had changed
        over another connection. It fails only where memory is full.
        """
        await self._connection.ensure_open()
        server = self._connection.opened
        if server is not None and server.run_id != self._disk_of:
            try:
                await self.check(self._connection)
            except SettingsError as unable:  # a failover led to a server that is set up otherwise
                raise QueueUnavailable(str(unable)) from unable
        wait_ms, replicas = self._wait_ms, self._replicas
        wait: Command = ("WAIT", replicas, wait_ms) if replicas else ("WAITAOF", 1, 0, wait_ms)
        barrier: Command = ("SET", self._barrier, "1", "PX", BARRIER_MS)
        due = await self._connection.ensure_open() + 2 * wait_ms / 1000
        sent = [self._connection.send(command, due) for command in (*commands, barrier, wait)]
        answers: list[Any] = await asyncio.gather(*sent, return_exceptions=True)
        *replies, _, had = answers
        if isinstance(had, QueueError):
            error = QueueUnavailable(f"Redis has carried it out, but cannot confirm it: {had}")
        elif (had if replicas else had[0]) < (replicas or 1):
            who = f"{replicas} replicas" if replicas else "the disk"
            error = QueueUnavailable(f"Redis has carried it out, but {who} did not confirm it within {wait_ms} ms")
        else:
            return replies
        return [reply if isinstance(reply, QueueError) else error for reply in replies]

    async def check(self, connection: Connection) -> None:
        """Raises SettingsError where an answer of WAITAOF would not mean that the disk has it.

        With `appendfsync everysec` it does not: Valkey up to 9.1 at least and Redis 7.4 answer at once whenever less
        than a second has passed since the last fsync (redis pull request 13793).
        """
        if self._kind != DISK:
            return
        reply = await connection.call("CONFIG", "GET", "appendonly", "appendfsync")
        settings = dict(zip(reply[::2], reply[1::2], strict=True))
        server = connection.opened
        if server is None:
            raise QueueUnavailable("the connection to Redis was closed")
        if server.version < DISK_SINCE:
            version = ".".join(map(str, server.version))
            raise SettingsError(f"HUBGATE_ACKNOWLEDGEMENT=disk needs Redis 7.2 or newer; this one is {version}.")
        policy = settings[b"appendfsync"] if settings[b"appendonly"] == b"yes" else b"appendonly no"
        if policy != b"always":
            needs = "HUBGATE_ACKNOWLEDGEMENT=disk needs appendonly yes and appendfsync always"
            raise SettingsError(f"{needs}; this Redis has {policy.decode()}.")
        self._disk_of = server.run_id
