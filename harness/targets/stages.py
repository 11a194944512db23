"""Where a target for one cassette comes from: given by URL, or started for it and empty."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import msgspec

from harness.processes import Process, Processes, RedisServer, Valkey, empty, services
from harness.targets.targets import HubTarget, StackTarget, Target


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a cassette asks of a target."""

    token: str | None = None
    """The token that the server has to demand, None where it demands none."""


class Stage(Protocol):
    """Gives targets out, one at a time or several at once."""

    def stand(self, needs: Needs) -> AbstractAsyncContextManager[Target]:
        """A target for the time of the context, empty where it is ours."""
        ...


class GivenStage:
    """A target that somebody else runs. It is used as it is, by one cassette at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._free = asyncio.Lock()

    @asynccontextmanager
    async def stand(self, needs: Needs) -> AsyncIterator[Target]:  # noqa: ARG002 - it cannot be asked for anything
        """The target."""
        async with self._free:
            yield self._target


class HubStage:
    """Simulated hubs, a new one for each cassette: the hub keeps its workers and subscriptions in memory."""

    def __init__(self, processes: Processes, *, without: Sequence[str] = (), name: str = "hub") -> None:
        self._processes = processes
        self._without = tuple(without)
        self._name = name
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def stand(self, needs: Needs) -> AsyncIterator[Target]:
        """A hub that was just started."""
        name = f"{self._name}-{next(self._numbers)}"
        process = await self._processes.astart(services.hub(token=needs.token, without=self._without, name=name))
        try:
            yield HubTarget(http_url=process.http_url, owned=True, token=needs.token)
        finally:
            await asyncio.to_thread(process.stop)


class Room(msgspec.Struct, frozen=True):
    """A part of a Redis that is one API's own."""

    url: str
    prefix: str


class StackStage:
    """API processes on one Redis, each with a room of its own that is emptied before every cassette: a database where
    the Redis is ours, else a prefix.
    """

    def __init__(  # noqa: PLR0913 - each is one fact of the stack
        self,
        processes: Processes,
        redis: RedisServer,
        *,
        first_database: int = 32,
        lease_ms: int = 3_000,
        retry_backoff_ms: int = 50,
        overlay: Path | None = None,
        environment: Mapping[str, str] | None = None,
        name: str = "replay-api",
    ) -> None:
        self._processes = processes
        self._redis = redis
        self._numbers = itertools.count(first_database)
        self._lease_ms = lease_ms
        self._retry_backoff_ms = retry_backoff_ms
        self._overlay = overlay
        self._environment = dict(environment or {})
        self._name = name
        self._idle: dict[str | None, list[tuple[Room, Process]]] = {}

    @asynccontextmanager
    async def stand(self, needs: Needs) -> AsyncIterator[Target]:
        """An API whose room is empty."""
        idle = self._idle.setdefault(needs.token, [])
        room, process = idle.pop() if idle else await self._another(needs.token)
        await asyncio.to_thread(empty, room.url, room.prefix)
        yield StackTarget(
            http_url=process.http_url,
            owned=True,
            token=needs.token,
            redis_url=room.url,
            prefix=room.prefix,
            lease_ms=self._lease_ms,
            retry_backoff_ms=self._retry_backoff_ms,
        )
        if not self._redis.owned:
            await asyncio.to_thread(empty, room.url, room.prefix)
        idle.append((room, process))

    async def _another(self, token: str | None) -> tuple[Room, Process]:
        number = next(self._numbers)
        room = self._room(number)
        terms = {
            "HUBGATE_LEASE_MS": str(self._lease_ms),
            "HUBGATE_RETRY_BACKOFF_MS": str(self._retry_backoff_ms),
        }
        launch = services.api(
            redis_url=room.url,
            prefix=room.prefix,
            token=token,
            name=f"{self._name}-{number}",
            environment={**self._environment, **terms},
            overlay=self._overlay,
        )
        return room, await self._processes.astart(launch)

    def _room(self, number: int) -> Room:
        if isinstance(self._redis, Valkey):
            return Room(self._redis.url_of(number), "")
        return Room(self._redis.url, f"hubgate-{uuid4().hex[:12]}:")
