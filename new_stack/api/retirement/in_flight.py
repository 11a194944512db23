"""Which clients have jobs that have not ended, kept up by the stream of events while somebody has to know."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from new_stack.api.streaming.fanout import FanOut, Gap, Item, Published, Subscriber
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.events import ENDINGS, FOR_MONITORS
from new_stack.queue.jobs import JobState
from new_stack.queue.queue import Queue

EVENTS_HELD: Final = 1_000_000
PAGE: Final = 500
RETRY_SECONDS: Final = 1.0
WAIT_SECONDS: Final = 60.0


class InFlight:
    """The jobs of each client. As long as they are not all known, every client may have some."""

    def __init__(self, queue: Queue, fanout: FanOut) -> None:
        self._queue = queue
        self._fanout = fanout
        self._jobs: defaultdict[str, set[str]] = defaultdict(set)
        self._known = False

    def count(self, client: str) -> int:
        """How many jobs of the client have not ended."""
        return len(self._jobs.get(client, ()))

    def may_have(self, client: str) -> bool:
        """Whether the client has any, or may have."""
        return not self._known or self.count(client) > 0

    async def run(self) -> None:
        """Follow all events."""
        subscriber = Subscriber(EVENTS_HELD)
        self._fanout.follow_all(subscriber)
        try:
            await self._list()
            while True:
                items = await subscriber.take(WAIT_SECONDS)
                if any(isinstance(item, Gap) for item in items):
                    await self._list()
                self._apply(items)
        finally:
            self._known = False
            self._fanout.remove(subscriber)

    async def _list(self) -> None:
        """Read all jobs that have not ended. What happens meanwhile is applied afterwards, and again harmless."""
        self._known = False
        while not self._known:
            self._jobs.clear()
            try:
                for state in (JobState.PENDING, JobState.CLAIMED):
                    await self._list_state(state)
            except QueueUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._known = True

    async def _list_state(self, state: JobState) -> None:
        cursor: str | None = None
        while True:
            page = await self._queue.jobs(state=state, cursor=cursor, limit=PAGE, bodies=False)
            for job in page.jobs:
                self._jobs[job.client_id or ""].add(job.id)
            cursor = page.cursor
            if cursor is None:
                return

    def _apply(self, items: list[Item]) -> None:
        for item in items:
            if not isinstance(item, Published) or item.event.kind in FOR_MONITORS:
                continue
            client, job_id = item.event.client_id or "", item.event.job_id
            if item.event.kind not in ENDINGS:
                self._jobs[client].add(job_id)
                continue
            self._jobs[client].discard(job_id)
            if not self._jobs[client]:
                del self._jobs[client]
