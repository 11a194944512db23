"""What those who only look may do: nothing here changes anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from new_stack.queue.decoding import counts_of, event_of, job_of, worker_of
from new_stack.queue.events import Event
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.jobs import Job, JobState, Page, QueueCounts, WorkerInfo

INSPECT_LIMIT: Final = 1_000
PAGE_BYTES: Final = 4_000_000
"""What one call of `list` may inspect and bring back."""

INSPECT_ROUNDS: Final = 20
"""How many such calls one page may take: a filter that hardly any job passes gives short pages, never long waits."""


class Reader:
    """Reads jobs, positions, counts, workers and events."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller

    async def ping(self) -> float:
        """Round-trip time in ms. Raises QueueUnavailable."""
        began = time.perf_counter()
        await self._caller.connection.call("PING")
        return (time.perf_counter() - began) * 1000

    async def job(self, job_id: str) -> Job | None:
        """One job, or None."""
        return job_of(job_id, await self._caller.connection.call("HGETALL", self._caller.keys.job(job_id)))

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
            after, rows = await self._caller.read(
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
        """1-based among pending jobs of its service; None where it is not pending."""
        return (await self._caller.read("position", job_id)) or None

    async def counts(self) -> QueueCounts:
        """How many jobs are where."""
        return counts_of(await self._caller.read("count"))

    async def workers(self) -> list[WorkerInfo]:
        """Every worker that has not been forgotten yet, by id."""
        rows = await self._caller.read("workers")
        known = [worker for row in rows if (worker := worker_of(row))]
        return sorted(known, key=lambda worker: worker.report.worker_id)

    async def history(self, job_id: str, after: str = "0", *, count: int = 1_000_000) -> list[Event]:
        """The events of one job (stream `progress:{id}`), oldest first, after that id, at most `count` of them."""
        key = self._caller.keys.progress(job_id)
        entries = await self._caller.connection.call("XRANGE", key, f"({after}", "+", "COUNT", count)
        return [event for entry in entries if (event := event_of(entry[0], entry[1]))]

    async def events(self, after: str, *, block_ms: int, count: int = 500) -> list[Event]:
        """Events of all jobs after that id of the stream `events`; `$` begins with the next one."""
        events, _ = await self.events_and_end(after, block_ms=block_ms, count=count)
        return events

    async def events_and_end(self, after: str, *, block_ms: int, count: int = 500) -> tuple[list[Event], str]:
        """The same, and the id after which to read on: entries that this version does not know are passed over."""
        read = ("XREAD", "COUNT", count, "BLOCK", max(block_ms, 1), "STREAMS", self._caller.keys.events, after)
        async with self._caller.blocking() as connection:
            reply = await connection.call(*read, patience=block_ms / 1000)
        entries = reply[0][1] if reply else []
        events = [event for entry in entries if (event := event_of(entry[0], entry[1]))]
        return events, entries[-1][0].decode() if entries else after

    async def last_event_id(self) -> str:
        """The newest id of `events` ("0-0" where there is none)."""
        entries = await self._caller.connection.call("XREVRANGE", self._caller.keys.events, "+", "-", "COUNT", 1)
        return entries[0][0].decode() if entries else "0-0"

    async def first_event_id(self, job_id: str | None = None) -> str:
        """The oldest id still kept of `events`, or of one job's stream; "0-0" where there is none."""
        keys = self._caller.keys
        key = keys.events if job_id is None else keys.progress(job_id)
        entries = await self._caller.connection.call("XRANGE", key, "-", "+", "COUNT", 1)
        return entries[0][0].decode() if entries else "0-0"


def _size(jobs: Sequence[Job]) -> int:
    return sum(len(memoryview(job.payload)) + len(memoryview(job.result or b"")) for job in jobs)
