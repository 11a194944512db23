"""The state of the whole queue at one moment, read cheaply and shared by everybody who asks at the same time."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from new_stack.queue.jobs import Job, JobState, QueueCounts, WorkerInfo
from new_stack.queue.queue import Queue

ACTIVE_JOBS_SHOWN: Final = 100
STATES_SHOWN: Final = (JobState.CLAIMED, JobState.PENDING, JobState.FAILED)


class Snapshot(msgspec.Struct, frozen=True):
    """Counts, workers, and the newest running, pending and failed jobs (never all jobs), without bodies."""

    counts: QueueCounts
    workers: tuple[WorkerInfo, ...]
    jobs: tuple[Job, ...]


class Snapshots:
    """Takes snapshots, one at a time. Who asks while one is taken shares the next: nobody gets an old one."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lock = asyncio.Lock()
        self._last: Snapshot | None = None
        self._began = 0.0
        self.broadcast_key: object = None
        """The change key of the snapshot that was broadcast last: where it differs, monitors get a new one."""
        self.broadcast_at = time.monotonic()

    async def take(self) -> Snapshot:
        """A snapshot that began after this call did. Raises QueueUnavailable."""
        asked = time.monotonic()
        async with self._lock:
            if self._last is None or self._began < asked:
                began = time.monotonic()
                listed = [self._queue.jobs(state=one, limit=ACTIVE_JOBS_SHOWN, bodies=False) for one in STATES_SHOWN]
                counts, workers, pages = await asyncio.gather(
                    self._queue.counts(), self._queue.workers(), asyncio.gather(*listed)
                )
                self._last = Snapshot(counts, tuple(workers), tuple(job for page in pages for job in page.jobs))
                self._began = began
            return self._last
