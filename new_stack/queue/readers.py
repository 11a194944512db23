"""The readers' part of the queue: nothing here changes anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from new_stack.queue.calls import Calls
from new_stack.queue.events import Event
from new_stack.queue.jobs import Job, JobState, Page, QueueCounts, WorkerInfo
from new_stack.queue.replies import event_of, job_of, worker_of

INSPECT_LIMIT: Final = 1_000
PAGE_BYTES: Final = 4_000_000
"""What one call of `list` may look at and bring back."""

INSPECT_ROUNDS: Final = 20
"""How many such calls one page may take: a filter that hardly any job passes gives short pages, never long waits."""


class Readers:
    """Jobs, positions, counts, workers, events."""

    _calls: Calls

    async def ping(self) -> float:
        """Round-trip time in ms. Raises QueueUnavailable."""
        began = time.perf_counter()
        await self._calls.main.call("PING")
        return (time.perf_counter() - began) * 1000

    async def job(self, job_id: str) -> Job | None:
        """One job, or None."""
        return job_of(job_id, await self._calls.main.call("HGETALL", self._calls.keys.job(job_id)))

    async def jobs(
        self,
        *,
        state: JobState | None = None,
        service: str | None = None,
        worker_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """One page of jobs that match every filter given, newest first. Raises ValueError for a foreign cursor.

        A page may be short and yet not the last: go on while it has a cursor.
        """
        if cursor is not None and not cursor.isdecimal():
            raise ValueError("the cursor is not one that this listing gave out")
        found: list[Job] = []
        below = cursor or "+inf"
        for _ in range(INSPECT_ROUNDS):
            after, rows = await self._calls.read(
                "list",
                state or "",
                service or "",
                worker_id or "",
                below,
                limit - len(found),
                INSPECT_LIMIT,
                PAGE_BYTES,
            )
            below = after.decode()
            found += [job for row in rows if (job := job_of(row[0].decode(), row[1]))]
            if not below or len(found) >= limit or _size(found) >= PAGE_BYTES:
                break
        return Page(jobs=tuple(found), cursor=below or None)

    async def position(self, job_id: str) -> int | None:
        """1-based among pending jobs of its service; None where it is not in the line."""
        return (await self._calls.read("position", job_id)) or None

    async def counts(self) -> QueueCounts:
        """How many jobs are where."""
        pending, claimed, completed, failed, cancelled, delayed, services = await self._calls.read("count")
        by_service = {services[i].decode("utf-8", "replace"): int(services[i + 1]) for i in range(0, len(services), 2)}
        return QueueCounts(
            pending=pending,
            claimed=claimed,
            completed=completed,
            failed=failed,
            cancelled=cancelled,
            delayed=delayed,
            by_service=by_service,
        )

    async def workers(self) -> list[WorkerInfo]:
        """Every worker that has not been forgotten yet, by id."""
        rows = await self._calls.read("workers")
        known = [worker for row in rows if (worker := worker_of(row))]
        return sorted(known, key=lambda worker: worker.report.worker_id)

    async def history(self, job_id: str, after: str = "0") -> list[Event]:
        """The events of one job (stream `progress:{id}`), oldest first, after that id."""
        entries = await self._calls.main.call("XRANGE", self._calls.keys.progress(job_id), f"({after}", "+")
        return [event for entry in entries if (event := event_of(entry[0], entry[1]))]

    async def events(self, after: str, *, block_ms: int, count: int = 500) -> list[Event]:
        """Events of all jobs after that id of the stream `events`; `$` begins with the next one."""
        read = ("XREAD", "COUNT", count, "BLOCK", max(block_ms, 1), "STREAMS", self._calls.keys.events, after)
        async with self._calls.blocking() as wire:
            reply = await wire.call(*read, patience=block_ms / 1000)
        entries = reply[0][1] if reply else []
        return [event for entry in entries if (event := event_of(entry[0], entry[1]))]

    async def last_event_id(self) -> str:
        """The newest id of `events` ("0-0" where there is none)."""
        entries = await self._calls.main.call("XREVRANGE", self._calls.keys.events, "+", "-", "COUNT", 1)
        return entries[0][0].decode() if entries else "0-0"

    async def first_event_id(self, job_id: str | None = None) -> str:
        """The oldest id still kept of `events`, or of one job's stream; "0-0" where there is none."""
        keys = self._calls.keys
        key = keys.events if job_id is None else keys.progress(job_id)
        entries = await self._calls.main.call("XRANGE", key, "-", "+", "COUNT", 1)
        return entries[0][0].decode() if entries else "0-0"


def _size(jobs: Sequence[Job]) -> int:
    return sum(len(memoryview(job.payload)) + len(memoryview(job.result or b"")) for job in jobs)
