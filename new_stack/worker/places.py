"""How many jobs a worker that runs several at once may still claim."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from new_stack.queue.jobs import Lease


class Places:
    """As many as `number`, those that running jobs take and those that claims under way count on among them."""

    def __init__(self, number: int, taken: Callable[[], tuple[Lease, ...]]) -> None:
        self._number = number
        self._taken = taken
        self._reserved = 0
        self.closed = False
        """Whether nothing more is started."""
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many jobs may be claimed now; none beside one that has to run alone."""
        taken = self._taken()
        return 0 if self.closed or any(lease.alone for lease in taken) else self._number - len(taken) - self._reserved

    @contextmanager
    def reserved(self) -> Iterator[int]:
        """Reserve all free places for a claim under way, so that no other claim counts on them."""
        places = max(0, self.free)
        self._reserved += places
        try:
            yield places
        finally:
            self._reserved -= places

    async def until_free(self) -> None:
        """Return once there is a free place that no claim under way counts on."""
        while self.free <= 0:
            self._changed.clear()
            await self._changed.wait()

    def changed(self) -> None:
        """A claim came back with less than there was room for: wake whoever waits for room."""
        self._changed.set()
