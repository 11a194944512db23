"""Where the target for one cassette comes from: given by URL, or started for it and empty."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import msgspec

from harness.processes import Processes, RedisServer
from harness.targets.deployment import Deployment, Namespace, Setup
from harness.targets.target import Side, Target

AT_ONCE = 4
"""Cassettes that one given stack plays at the same time."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a cassette asks of a target."""

    token: str | None = None
    """The token that the server has to demand, None where it demands none."""


class TargetPool(Protocol):
    """Gives targets out, one at a time or several at once."""

    def acquire(self, needs: Needs) -> AbstractAsyncContextManager[Target]:
        """A target for the time of the context, empty where it is ours."""
        ...


class GivenPool:
    """A target that somebody else runs, used as it is. Each cassette has clients, workers, jobs and services of its own
    there. A hub is used by one at a time nevertheless: whatever happens on it, it offers all waiting jobs once more.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._free = asyncio.Semaphore(1 if target.side is Side.HUB else AT_ONCE)

    @asynccontextmanager
    async def acquire(self, needs: Needs) -> AsyncIterator[Target]:  # noqa: ARG002 - it cannot be asked for anything
        """The target."""
        async with self._free:
            yield self._target


class HubPool:
    """Simulated hubs, a new one for each cassette: a hub keeps its workers and subscriptions in memory."""

    def __init__(self, processes: Processes, setup: Setup | None = None) -> None:
        self._processes = processes
        self._setup = setup or Setup(side=Side.HUB, name="hub")
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def acquire(self, needs: Needs) -> AsyncIterator[Target]:
        """A hub that was just started."""
        hub = await Deployment.astart(self._processes, _numbered(self._setup, next(self._numbers), needs))
        try:
            yield hub.target
        finally:
            await asyncio.to_thread(hub.stop)


class StackPool:
    """API processes on one Redis, each with a namespace of its own that is emptied before every cassette."""

    def __init__(
        self, processes: Processes, redis: RedisServer, setup: Setup | None = None, *, first_database: int = 32
    ) -> None:
        self._processes = processes
        self._redis = redis
        self._setup = setup or REPLAYED
        self._numbers = itertools.count(first_database)
        self._idle: dict[str | None, list[Deployment]] = {}

    @asynccontextmanager
    async def acquire(self, needs: Needs) -> AsyncIterator[Target]:
        """A stack whose namespace is empty."""
        idle = self._idle.setdefault(needs.token, [])
        stack = idle.pop() if idle else await self._another(needs)
        await asyncio.to_thread(stack.empty)
        yield stack.target
        if self._redis.owned:
            idle.append(stack)
        else:
            await asyncio.to_thread(stack.remove)

    async def _another(self, needs: Needs) -> Deployment:
        number = next(self._numbers)
        namespace = Namespace.fresh(self._redis, number)
        return await Deployment.astart(self._processes, _numbered(self._setup, number, needs), self._redis, namespace)


REPLAYED = Setup(name="replay-api", lease_ms=3_000, retry_backoff_ms=50)
"""A stack whose leases and delays are short, so that a replay does not wait long for them."""


def _numbered(setup: Setup, number: int, needs: Needs) -> Setup:
    return msgspec.structs.replace(setup, name=f"{setup.name}-{number}", token=needs.token)
