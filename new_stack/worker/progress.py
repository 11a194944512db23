"""Sends what one attempt says to Redis: in order, the last of it before the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from new_stack.queue.errors import LeaseLost, QueueError, QueueUnavailable
from new_stack.queue.events import EventKind
from new_stack.queue.jobs import ProgressUpdate
from new_stack.worker.context import RedisBackoff

BACKLOG: Final = 1_000
"""Updates kept while Redis is away; beyond, the oldest go: as many as a job's stream keeps."""


class ProgressPublisher:
    """One attempt's unsent updates. Those of `send` all arrive; of those of `report` the newest unsent one does."""

    def __init__(
        self,
        publish: Callable[[ProgressUpdate], Awaitable[None]],
        refused: Callable[[QueueError], None],
        backoff: RedisBackoff,
    ) -> None:
        self._publish = publish
        self._refused = refused
        self._backoff = backoff
        self._unsent: deque[tuple[ProgressUpdate, bool]] = deque(maxlen=BACKLOG)
        self._lock = asyncio.Lock()
        self._sender: asyncio.Task[None] | None = None
        self._said = 0

    async def send(self, update: ProgressUpdate) -> None:
        """Send this one after all earlier ones; returns once it is sent, or once Redis is known to be away."""
        self._add(update, replaceable=False)
        await self._send_all()

    def report(self, update: ProgressUpdate) -> None:
        """Send this one soon, after all earlier ones; a progress takes the place of an unsent reported one."""
        replaceable = update.kind is EventKind.PROGRESS
        if replaceable and self._unsent and self._unsent[-1][1]:
            self._unsent.pop()
        self._add(update, replaceable=replaceable)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())

    async def flush(self) -> None:
        """Send all there is, through an outage if need be. Nothing is taken after that."""
        await self._send_all()
        while self._unsent:
            await self._backoff.pause()
            await self._send_all()
        self.close()

    def close(self) -> None:
        """Take and send nothing more."""
        self._unsent = deque(maxlen=0)  # which keeps nothing
        if self._sender is not None:
            self._sender.cancel()

    def _add(self, update: ProgressUpdate, *, replaceable: bool) -> None:
        self._said += 1
        self._unsent.append((msgspec.structs.replace(update, number=self._said), replaceable))

    async def _send_all(self) -> None:
        async with self._lock:
            while self._unsent:
                entry = self._unsent.popleft()
                try:
                    await self._publish(entry[0])
                except QueueUnavailable as error:
                    self._backoff.failed(error)
                    self._unsent.appendleft(entry)
                    return
                except QueueError as error:
                    if isinstance(error, LeaseLost):
                        self.close()
                    self._refused(error)
