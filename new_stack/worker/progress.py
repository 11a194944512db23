"""The way of one attempt's progress to Redis: in order, the last of it before the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from new_stack.queue.errors import LeaseLost, QueueError, QueueUnavailable
from new_stack.queue.jobs import ProgressUpdate
from new_stack.worker.outage import Outage

BACKLOG: Final = 1_000
"""Updates kept while Redis is away; beyond, the oldest go: as many as a job's stream keeps."""


class ProgressPublisher:
    """One attempt's updates on their way. `told` ones all arrive; of unsent `reported` ones only the newest does."""

    def __init__(
        self,
        send: Callable[[ProgressUpdate], Awaitable[None]],
        outage: Outage,
    ) -> None:
        self._send = send
        self.refused: Callable[[QueueError], None] = lambda _: None
        """Called where the queue refuses an update; after LeaseLost the publisher is closed."""
        self._outage = outage
        self._waiting: deque[tuple[ProgressUpdate, bool]] = deque(maxlen=BACKLOG)
        self._lock: asyncio.Lock | None = None
        self._carrier: asyncio.Task[None] | None = None
        self._closed = False

    async def tell(self, update: ProgressUpdate) -> None:
        """Send this one after all earlier ones; returns once it is sent, or once Redis is known to be away."""
        self._add(update, told=True)
        await self._carry()

    def report(self, update: ProgressUpdate) -> None:
        """Send this one soon, in place of an unsent reported one."""
        if self._waiting and not self._waiting[-1][1]:
            self._waiting.pop()
        self._add(update, told=False)
        if self._carrier is None or self._carrier.done():
            self._carrier = asyncio.create_task(self._carry())

    async def flush(self) -> None:
        """Send all there is, through an outage if need be. Nothing is taken after that."""
        while self._lock is not None and not self._closed:
            await self._carry()
            if not self._waiting:
                break
            await self._outage.pause()
        self.close()

    def close(self) -> None:
        """Take and send nothing more."""
        self._closed = True
        self._waiting.clear()
        if self._carrier is not None:
            self._carrier.cancel()

    def _add(self, update: ProgressUpdate, *, told: bool) -> None:
        if not self._closed:
            self._waiting.append((update, told))

    async def _carry(self) -> None:
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            while self._waiting:
                entry = self._waiting.popleft()
                try:
                    await self._send(entry[0])
                except QueueUnavailable as error:
                    self._outage.noticed(error)
                    if not self._closed:
                        self._waiting.appendleft(entry)
                    return
                except QueueError as error:
                    if isinstance(error, LeaseLost):
                        self.close()
                    self.refused(error)
