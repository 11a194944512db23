"""The state of the whole queue at one moment, read cheaply and shared by everybody who asks at the same time."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from new_stack.queue.jobs import Job, JobState, QueueCounts, WorkerInfo
from new_stack.queue.queue import Queue

ACTIVE_JOBS_SHOWN: Final = 100


class Snapshot(msgspec.Struct, frozen=True):
    """Counts, workers, and the newest running, pending and failed jobs (never all jobs), without bodies."""

    counts: QueueCounts
    workers: tuple[WorkerInfo, ...]
    active: tuple[Job, ...]
    pending: tuple[Job, ...] = ()
    failed: tuple[Job, ...] = ()


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
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._lock:
            if self._last is None or self._began < asked:
                began = loop.time()
                counts, workers, active, pending, failed = await asyncio.gather(
                    self._queue.counts(),
                    self._queue.workers(),
                    self._queue.jobs(state=JobState.CLAIMED, limit=ACTIVE_JOBS_SHOWN, bodies=False),
                    self._queue.jobs(state=JobState.PENDING, limit=ACTIVE_JOBS_SHOWN, bodies=False),
                    self._queue.jobs(state=JobState.FAILED, limit=ACTIVE_JOBS_SHOWN, bodies=False),
                )
                self._last = Snapshot(counts, tuple(workers), active.jobs, pending.jobs, failed.jobs)
                self._began = began
            return self._last
