"""What workers may do: claim, renew, report progress, end, wait, reap, heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from new_stack.queue.batcher import Batcher
from new_stack.queue.connection import Argument, Connection, RedisRefused, Reply
from new_stack.queue.decoding import lease_of
from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.function_caller import FunctionCaller, is_missing
from new_stack.queue.jobs import (
    Completed,
    End,
    Failed,
    JobState,
    Lease,
    LeaseState,
    PollResult,
    ProgressUpdate,
    Released,
    Signal,
    Wake,
    WorkerReport,
)

REAP_BATCH: Final = 200
WAIT_LIMIT_MS: Final = 5_000
"""Longest wait that blocks at the server: so long, at most, a connection whose other end is gone is not noticed."""

BREAK_OFF_SECONDS: Final = 1.0
MESSAGE_LIMIT: Final = 4_096
"""Longest message kept of a progress, in characters."""

ERROR_LIMIT: Final = 65_536
"""Longest error text kept of an attempt, in characters."""


class EndAndClaim(NamedTuple):
    """One request of a worker: these ends, and that many jobs to claim. Requests made at once share a call."""

    ends: Sequence[End]
    wanted: int


class Answered(NamedTuple):
    """The answer to one EndAndClaim: the new state of each job that was to end, or why not, and the new leases."""

    states: list[JobState | QueueError]
    leases: list[Lease]


class Consumer:
    """Takes jobs, keeps them and ends them, for any number of workers of one process."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller
        self._claiming: dict[str, Connection] = {}
        self._requests: dict[str, Batcher[EndAndClaim, Answered]] = {}

    async def claim(self, worker_id: str, count: int = 1) -> list[Lease]:
        """Take up to `count` jobs, highest priority first, then oldest, each with a lease."""
        _, leases = await self.end_and_claim(worker_id, [], count)
        return leases

    async def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        """Keep the leases for another term; answers how each stands."""
        if not leases:
            return []
        rows = (value for lease in leases for value in (lease.job_id, lease.attempt, lease.worker_id))
        replies = await self._caller.write("renew", len(leases), *rows)
        return [LeaseState(reply.decode()) for reply in replies]

    async def progress(self, lease: Lease, update: ProgressUpdate) -> None:
        """Also renews the lease. Raises LeaseLost."""
        if not -1 <= update.progress <= 100:
            raise ValueError(f"progress must be from -1 to 100, not {update.progress}")
        held = await self._caller.write(
            "progress",
            lease.job_id,
            lease.attempt,
            lease.worker_id,
            _number(update.progress),
            update.status,
            (update.message or "")[:MESSAGE_LIMIT],
            self._details(update),
        )
        if held != b"held":
            raise LeaseLost(lease.job_id, cancelled=held == b"cancelled")

    def _details(self, update: ProgressUpdate) -> bytes:
        """Details as JSON; where they are too large to travel with an event, how large they were."""
        if update.details is None:
            return b""
        encoded = msgspec.json.encode(update.details)
        if len(encoded) > self._caller.settings.inline_result_limit:
            return msgspec.json.encode({"details_omitted": len(encoded)})
        return encoded

    async def end(self, end: End) -> JobState:
        """Complete, fail or release. Raises LeaseLost. Answers the job's new state (PENDING: it will run again)."""
        states, _ = await self.end_and_claim(end.lease.worker_id, [end], 0)
        if isinstance(states[0], QueueError):
            raise states[0]
        return states[0]

    async def end_and_claim(
        self, worker_id: str, ends: Sequence[End], count: int
    ) -> tuple[list[JobState | QueueError], list[Lease]]:
        """End jobs and claim up to `count` next ones in one round trip, shared by calls made at once."""
        requests = self._requests.get(worker_id)
        if requests is None:
            requests = self._requests[worker_id] = Batcher(partial(self._end_and_claim, worker_id), self._hand_back)
        return await requests.add(EndAndClaim(ends, count))

    async def wait(self, worker_id: str, *, for_work: bool, timeout_ms: int) -> tuple[Wake, Signal | None]:
        """Block until there may be work (if `for_work`), a signal for this worker, or the time-out."""
        timeout_ms = min(timeout_ms, WAIT_LIMIT_MS)
        keys = self._caller.keys
        lists = (keys.signals(worker_id), keys.wake) if for_work else (keys.signals(worker_id),)
        async with self._caller.blocking() as connection:
            reply = await connection.call("BLPOP", *lists, timeout_ms / 1000, patience=timeout_ms / 1000)
        return _woken(reply)

    async def wait_and_claim(self, worker_id: str, count: int, *, timeout_ms: int) -> tuple[list[Lease], Signal | None]:
        """Wait as `wait` does, and claim as soon as it ends: the claim travels with the wait, in one round trip.

        Cancelled, it gives back at once what it may have claimed meanwhile.
        """
        if count < 1:
            raise ValueError("a wait must have room for at least one job, or its wake-up is lost")
        timeout_ms = min(timeout_ms, WAIT_LIMIT_MS)
        keys = self._caller.keys
        wait = ("BLPOP", keys.signals(worker_id), keys.wake, timeout_ms / 1000)
        claim = self._caller.change("claim", worker_id, count)
        async with self._caller.blocking() as connection, self._known(worker_id, connection):
            both = asyncio.ensure_future(connection.call_together(wait, claim, patience=timeout_ms / 1000))
            try:
                woken, rows = await asyncio.shield(both)
            except asyncio.CancelledError:
                await self._break_off(worker_id, connection, both)
                raise
            except RedisRefused as refused:
                if not is_missing(refused):
                    raise
                await self._caller.reinstall(refused)
                return [], None
        return [lease_of(worker_id, row) for row in rows], _woken(woken)[1]

    @asynccontextmanager
    async def _known(self, worker_id: str, connection: Connection) -> AsyncIterator[None]:
        self._claiming[worker_id] = connection
        try:
            yield
        finally:
            del self._claiming[worker_id]

    async def _break_off(self, worker_id: str, connection: Connection, both: asyncio.Future[list[Reply]]) -> None:
        """End a wait early and hand back what its claim took."""
        try:
            async with asyncio.timeout(BREAK_OFF_SECONDS):
                await self._caller.connection.call("CLIENT", "UNBLOCK", connection.client_id)
                _, rows = await both
                await self._hand_back([Answered([], [lease_of(worker_id, row) for row in rows])])
        except (QueueError, TimeoutError):
            return  # Redis is gone or does not answer: leases, if there are any, run out
        finally:
            both.cancel()

    async def _hand_back(self, unwanted: Sequence[Answered]) -> None:
        """Release the leases that nobody waits for any more."""
        ends = [Released(lease=lease) for answer in unwanted for lease in answer.leases]
        if ends:
            await self.end_and_claim(ends[0].lease.worker_id, ends, 0)

    async def reap(self) -> list[str]:
        """Put back jobs whose lease ran out, promote delayed retries that are due, forget dead workers and old ends."""
        reaped: list[str] = []
        more = True
        while more:
            ids, flag = await self._caller.write("reap", REAP_BATCH)
            reaped += [job_id.decode() for job_id in ids]
            more = flag == b"1"
        return reaped

    async def heartbeat(self, report: WorkerReport) -> None:
        """Say that a worker is alive, and what it is doing."""
        await self._caller.write("heartbeat", report.worker_id, msgspec.json.encode(report))

    async def poll(self, worker_id: str, report: WorkerReport | None = None) -> PollResult:
        """Do what is due (retries, leases that ran out) and wake idle workers; with a report, also a heartbeat."""
        encoded = msgspec.json.encode(report) if report is not None else ""
        pending, reaped = await self._caller.write("poll", worker_id, encoded)
        return PollResult(pending=pending, reaped=tuple(job_id.decode() for job_id in reaped))

    async def end_wait(self, worker_id: str) -> None:
        """Make a `wait_and_claim` of this worker return now, with what there is to claim."""
        connection = self._claiming.get(worker_id)
        if connection is not None and connection.client_id:
            await self._caller.connection.call("CLIENT", "UNBLOCK", connection.client_id)

    async def unregister(self, worker_id: str) -> None:
        """Forget a worker that left in order."""
        await self._caller.write("unregister", worker_id)
        self._requests.pop(worker_id, None)

    async def _end_and_claim(self, worker_id: str, requests: Sequence[EndAndClaim]) -> list[Answered]:
        """All requests of one worker in one call; the claimed jobs are handed out in the order of the requests."""
        limit = self._caller.settings.result_limit
        rows = [_end_row(end, limit) for request in requests for end in request.ends]
        count = sum(request.wanted for request in requests)
        call = self._caller.commit if rows else self._caller.write
        words, claimed = await call(
            "end_and_claim", worker_id, count, len(rows), *(value for row in rows for value in row)
        )
        leases = [lease_of(worker_id, row) for row in claimed]
        answers: list[Answered] = []
        for ends, wanted in requests:
            states = [_state(end, word) for end, word in zip(ends, words, strict=False)]
            words = words[len(ends) :]
            answers.append(Answered(states, leases[:wanted]))
            leases = leases[wanted:]
        return answers


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _end_row(end: End, result_limit: int) -> tuple[Argument, ...]:
    lease = end.lease
    held = (lease.job_id, lease.attempt, lease.worker_id)
    match end:
        case Completed(result=result):
            size = len(memoryview(result))
            if size > result_limit:
                return ("fail", *held, f"the result is {size} bytes long; the limit is {result_limit}", "0")
            return ("complete", *held, bytes(result) or b"null", "")
        case Failed(error=error, retryable=retryable):
            return ("fail", *held, error[:ERROR_LIMIT], "1" if retryable else "0")
        case Released():
            return ("release", *held, "", "")


def _state(end: End, word: bytes) -> JobState | QueueError:
    if word in {b"lost", b"cancelled"}:
        return LeaseLost(end.lease.job_id, cancelled=word == b"cancelled")
    return JobState(word.decode())


def _woken(reply: Any) -> tuple[Wake, Signal | None]:
    if reply is None:
        return Wake.TIMEOUT, None
    key, value = reply
    if not key.endswith(b":signals"):
        return Wake.WORK, None
    attempt, _, job_id = value.decode().partition(" ")
    return Wake.SIGNAL, Signal(job_id=job_id, attempt=int(attempt))
