"""The state of the whole queue at one moment, read cheaply and shared by everybody who asks at about the same time."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from new_stack.queue.jobs import Job, JobState, QueueCounts, WorkerInfo
from new_stack.queue.queue import Queue

FRESH_SECONDS: Final = 0.1
ACTIVE_JOBS_SHOWN: Final = 100


class Snapshot(msgspec.Struct, frozen=True):
    """Counts, workers, and the newest running jobs (never all jobs)."""

    counts: QueueCounts
    workers: tuple[WorkerInfo, ...]
    active: tuple[Job, ...]


class Snapshots:
    """Takes snapshots: at most one at a time, and none while the last one is fresh."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lock = asyncio.Lock()
        self._last: Snapshot | None = None
        self._at = 0.0
        self.shown: object = None
        """What of a snapshot was broadcast last: monitors are told at once when it differs."""

    async def take(self) -> Snapshot:
        """A snapshot no older than `FRESH_SECONDS`. Raises QueueUnavailable."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._last is None or now - self._at > FRESH_SECONDS:
                counts, workers, page = await asyncio.gather(
                    self._queue.counts(),
                    self._queue.workers(),
                    self._queue.jobs(state=JobState.CLAIMED, limit=ACTIVE_JOBS_SHOWN),
                )
                self._last = Snapshot(counts, tuple(sorted(workers, key=_worker_id)), page.jobs)
                self._at = now
            return self._last


def _worker_id(worker: WorkerInfo) -> str:
    return worker.report.worker_id
