"""Calling the functions library, and lending connections for the calls that block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from new_stack.queue import library
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.keys import Keys
from new_stack.queue.settings import QueueSettings
from new_stack.queue.wire import Address, Argument, RedisRefused, Reply, Wire


class Calls:
    """The shared line to Redis of one `Queue`: one connection for calls, and others for the waits that block."""

    def __init__(self, settings: QueueSettings, *, install: bool) -> None:
        self.settings = settings
        self.keys = Keys(settings.prefix)
        self.may_install = install
        self._address = Address.parse(settings.redis_url)
        self._timeout = settings.call_timeout_ms / 1000
        self.main = Wire(self._address, timeout=self._timeout)
        self._resting: list[Wire] = []
        self._lent: set[Wire] = set()
        self._installing = asyncio.Lock()
        terms: tuple[Argument, ...] = (
            settings.progress_stream_length,
            settings.events_stream_length,
            settings.lease_ms,
            settings.finished_ttl_ms,
            settings.inline_result_limit,
            settings.retry_backoff_ms,
            settings.retry_backoff_max_ms,
            settings.max_deliveries,
            settings.heartbeat_ttl_ms,
            settings.forget_worker_ms,
        )
        self._terms = (len(terms), *terms)

    def change(self, function: str, *arguments: Argument) -> tuple[Argument, ...]:
        """The command that calls a function which changes something."""
        return ("FCALL", f"hubgate_{function}", 1, self.keys.pending, *self._terms, *arguments)

    async def write(self, function: str, *arguments: Argument) -> Reply:
        """Call a function that changes something."""
        return await self._call(self.change(function, *arguments))

    async def read(self, function: str, *arguments: Argument) -> Reply:
        """Call a function that only reads."""
        return await self._call(("FCALL_RO", f"hubgate_{function}", 1, self.keys.pending, *arguments))

    async def _call(self, command: tuple[Argument, ...]) -> Reply:
        try:
            return await self.main.call(*command)
        except RedisRefused as refused:
            if not library.is_missing(refused):
                raise
            await self.reinstall(refused)
            return await self.main.call(*command)

    async def reinstall(self, refused: RedisRefused) -> None:
        """Load the library again after the server lost it. Raises QueueUnavailable where this process may not."""
        if not self.may_install:
            raise QueueUnavailable(
                "Redis has lost the queue's functions, and this process may not load them"
            ) from refused
        async with self._installing:
            await library.install(self.main, self.keys.pending)

    @asynccontextmanager
    async def blocking(self) -> AsyncIterator[Wire]:
        """Lend a connection of its own for a call that blocks. Whoever breaks off must close it first."""
        wire = self._resting.pop() if self._resting else Wire(self._address, timeout=self._timeout, blocking=True)
        self._lent.add(wire)
        try:
            yield wire
        except BaseException:
            wire.close()
            raise
        finally:
            self._lent.discard(wire)
            self._resting.append(wire)

    def close(self) -> None:
        """Close every connection."""
        for wire in (self.main, *self._resting, *self._lent):
            wire.close()
