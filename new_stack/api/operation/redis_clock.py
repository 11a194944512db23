"""Redis's clock as this process knows it, for pages that show times: all times of jobs are by that one."""

from __future__ import annotations

from collections.abc import Callable

from new_stack.queue.queue import Queue


class RedisClock:
    """How far Redis's clock is ahead of this process's, which counts seconds."""

    def __init__(self, queue: Queue, clock: Callable[[], float]) -> None:
        self._queue = queue
        self._clock = clock
        self._ahead_ms = 0

    def now_ms(self) -> int:
        """Ms since the epoch."""
        return int(self._clock() * 1000) + self._ahead_ms

    async def compare(self) -> None:
        """Look how far it is ahead. Raises QueueUnavailable."""
        self._ahead_ms = await self._queue.time_ms() - int(self._clock() * 1000)
