"""Results that are too large to travel with their events, on their way to readers of histories."""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakValueDictionary

from new_stack.api.streaming.fanout import Published
from new_stack.queue.events import Event

AT_ONCE: Final = 8


class LargeResults:
    """Few are on their way at once, and readers of the same one share it."""

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(AT_ONCE)
        self._held: WeakValueDictionary[str, Published] = WeakValueDictionary()

    def published(self, event: Event) -> Published:
        """An event of a history. Readers of a large result share it while one of them holds it."""
        item = Published(event)
        return self._held.setdefault(event.id, item) if event.result_omitted else item
