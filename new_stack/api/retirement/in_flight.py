"""Which clients have jobs that have not ended, kept up by the stream of events while somebody has to know."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from new_stack.api.streaming.fanout import ALL, FanOut, Gap, Item, Published
from new_stack.log import log
from new_stack.queue.errors import QueueError, QueueUnavailable, RefusedForNow
from new_stack.queue.events import ENDINGS, FOR_MONITORS
from new_stack.queue.queue import Queue

HELD: Final = 100_000
"""Jobs that are known one by one, and events that wait meanwhile: some 20 MB of each."""
RETRY_SECONDS: Final = 1.0
CROWDED_SECONDS: Final = 60.0
"""When it is looked again whether the jobs are few enough."""
WAIT_SECONDS: Final = 60.0


class InFlight:
    """The jobs of each client. As long as they are not all known, every client may have some."""

    def __init__(self, queue: Queue, fanout: FanOut) -> None:
        self._queue = queue
        self._fanout = fanout
        self._clients: dict[str, str] = {}
        """The client of each job."""
        self._counts: Counter[str] = Counter()
        self._known = False
        self._told = ""
        """What was logged last, until the jobs can be read again."""

    def count(self, client: str) -> int:
        """How many jobs of the client have not ended, as far as they are known."""
        return self._counts[client]

    def may_have(self, client: str) -> bool:
        """Whether the client has any, or may have."""
        return not self._known or self.count(client) > 0

    async def run(self) -> None:
        """Read them all, then follow all events; again after a gap, and later where there are too many."""
        while True:
            subscriber = self._fanout.subscriber(HELD)
            self._fanout.follow(subscriber, ALL)
            try:
                if subscriber.closed is None:  # else the server is about to go
                    await self._list()
                self._known, self._told = self._fits, ""
                while self._known and subscriber.closed is None:
                    items = await subscriber.take(WAIT_SECONDS)
                    self._apply(items)
                    self._known = self._fits and not any(isinstance(item, Gap) for item in items)
            except QueueError as error:
                self._tell(error)
            finally:
                crowded, self._known = not self._fits, False
                self._clients.clear()
                self._counts.clear()
                self._fanout.remove(subscriber)
            if crowded:
                log.warning("jobs_in_flight_too_many", known_at_most=HELD)
            await asyncio.sleep(CROWDED_SECONDS if crowded else RETRY_SECONDS)

    def _tell(self, error: QueueError) -> None:
        """Log why the jobs cannot be read, once; that Redis is away the reader of events says already."""
        away = isinstance(error, QueueUnavailable) and not isinstance(error, RefusedForNow)
        if not away and error.detail != self._told:
            log.error("jobs_in_flight_not_read", error=error.detail)
            self._told = error.detail

    @property
    def _fits(self) -> bool:
        return len(self._clients) <= HELD

    async def _list(self) -> None:
        """Read all jobs that have not ended. What happens meanwhile is applied afterwards, and again harmless."""
        async for page in self._queue.usage.in_flight():
            for job_id, client in page:
                self._add(job_id, client)
            if not self._fits:
                return

    def _add(self, job_id: str, client: str) -> None:
        if job_id not in self._clients:
            self._clients[job_id] = client
            self._counts[client] += 1

    def _apply(self, items: list[Item]) -> None:
        for item in items:
            if not isinstance(item, Published) or item.event.kind in FOR_MONITORS:
                continue
            client, job_id = item.event.client_id or "", item.event.job_id
            if item.event.kind not in ENDINGS:
                self._add(job_id, client)
            elif (known := self._clients.pop(job_id, None)) is not None:
                self._counts[known] -= 1
                if not self._counts[known]:
                    del self._counts[known]
