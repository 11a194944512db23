"""What those who only look may do: nothing here changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from new_stack.queue.decoding import counts_of, event_of, job_of, worker_of
from new_stack.queue.events import Event
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.jobs import Job, JobState, Page, QueueCounts, WorkerInfo

INSPECT_LIMIT: Final = 1_000
PAGE_BYTES: Final = 4_000_000
"""What one call of `list` may inspect and bring back."""

WORKERS_PAGE: Final = 100
"""About how many workers one call brings back: it takes Redis a millisecond, ten thousand in one call a hundred."""

INSPECT_ROUNDS: Final = 20
"""How many such calls one page may take: a filter that hardly any job passes gives short pages, never long waits."""


class Reader:
    """Reads jobs, positions, counts, workers and events."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller

    async def job(self, job_id: str, *, bodies: bool = True) -> Job | None:
        """One job, or None. Without `bodies` a payload or result of more than 1 KB is left out."""
        reply = await self._caller.read("job", job_id, "1" if bodies else "")
        return job_of(reply[0], position=reply[1]) if reply else None

    async def jobs(  # noqa: PLR0913 - filters, all of them optional and named
        self,
        *,
        state: JobState | None = None,
        service: str | None = None,
        worker_id: str | None = None,
        client_id: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        bodies: bool = True,
    ) -> Page:
        """One page of jobs that match every filter given, newest first. Raises ValueError for a foreign cursor.

        `text` stands in the id, the client's id or the error, in any case of its letters. A page may be short and yet
        not the last: go on while it has a cursor. Without `bodies` the jobs come without payload, result, own fields,
        log and traceback, and their size shortens no page.
        """
        if cursor is not None and not cursor.isdecimal():
            raise ValueError("the cursor is not one that this listing gave out")
        fields = {"state": state, "service_required": service, "worker_id": worker_id, "client_id": client_id}
        wanted = msgspec.msgpack.encode({name: value for name, value in fields.items() if value})
        found: list[Job] = []
        below, looked_at = cursor or "+inf", 0
        for _ in range(INSPECT_ROUNDS):
            bounds = (below, limit - len(found), INSPECT_LIMIT, PAGE_BYTES)
            answer = await self._caller.read("list", wanted, text or "", *bounds, "" if bodies else "1")
            after, rows, inspected = answer
            below, looked_at = after.decode(), looked_at + inspected
            found += [job for row in rows if (job := job_of(row))]
            if not below or len(found) >= limit or _size(found) >= PAGE_BYTES:
                break
        return Page(jobs=tuple(found), cursor=below or None, looked_at=looked_at)

    async def counts(self) -> QueueCounts:
        """How many jobs are where."""
        return counts_of(await self._caller.read("count"))

    async def workers(self) -> list[WorkerInfo]:
        """Every worker that has not been forgotten yet, by id."""
        known: dict[str, WorkerInfo] = {}
        cursor = b""
        while cursor != b"0":
            cursor, rows = await self._caller.read("workers", cursor or b"0", WORKERS_PAGE)
            known |= {worker.report.worker_id: worker for row in rows if (worker := worker_of(row))}
        return [known[worker_id] for worker_id in sorted(known)]

    async def events(self, after: str, *, block_ms: int, count: int = 500) -> tuple[list[Event], str]:
        """Events of all jobs after that id of the stream `events` (`$`: from the next one on), and the id after which
        to read on: entries that this version does not know are passed over.
        """
        read = ("XREAD", "COUNT", count, "BLOCK", max(block_ms, 1), "STREAMS", self._caller.key("events"), after)
        async with self._caller.blocking() as connection:
            reply = await connection.call(*read, patience=block_ms / 1000)
        entries = reply[0][1] if reply else []
        events = [event for entry in entries if (event := event_of(entry[0], entry[1]))]
        return events, entries[-1][0].decode() if entries else after

    async def last_event_id(self) -> str:
        """The newest id of `events` ("0-0" where there is none)."""
        entries = await self._caller.connection.call("XREVRANGE", self._caller.key("events"), "+", "-", "COUNT", 1)
        return entries[0][0].decode() if entries else "0-0"

    async def first_event_id(self) -> str:
        """The oldest id still kept of `events` ("0-0" where there is none)."""
        entries = await self._caller.connection.call("XRANGE", self._caller.key("events"), "-", "+", "COUNT", 1)
        return entries[0][0].decode() if entries else "0-0"


def _size(jobs: Sequence[Job]) -> int:
    return sum(len(memoryview(job.payload)) + len(memoryview(job.result or b"")) for job in jobs)
