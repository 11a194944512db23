"""The workers' part of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec

from new_stack.queue import library
from new_stack.queue.calls import Calls
from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.gather import Gather
from new_stack.queue.jobs import (
    Completed,
    End,
    Failed,
    JobState,
    Lease,
    LeaseState,
    Look,
    ProgressUpdate,
    Released,
    Signal,
    Wake,
    WorkerReport,
)
from new_stack.queue.replies import lease_of
from new_stack.queue.wire import Argument, RedisRefused, Reply, Wire

REAP_BATCH: Final = 200
BREAK_OFF_SECONDS: Final = 1.0
MESSAGE_LIMIT: Final = 4_096
"""Longest message kept of a progress, in characters."""

ERROR_LIMIT: Final = 65_536
"""Longest error text kept of an attempt, in characters."""

Turn = tuple[Sequence[End], int]
"""One call of `end_and_claim`: ends, how many to claim."""

Turned = tuple[list[JobState | QueueError], list[Lease]]


class Holders:
    """Claim, renew, progress, end, wait, reap, heartbeat."""

    _calls: Calls

    def _prepare_holding(self) -> None:
        self._claiming: dict[str, Wire] = {}
        self._turns: dict[str, Gather[Turn, Turned]] = {}

    async def claim(self, worker_id: str, count: int = 1) -> list[Lease]:
        """Take up to `count` jobs, highest priority first, then oldest, each with a lease."""
        _, leases = await self.end_and_claim(worker_id, [], count)
        return leases

    async def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        """Keep the leases for another term; answers how each stands."""
        if not leases:
            return []
        rows = (value for lease in leases for value in (lease.job_id, lease.attempt, lease.worker_id))
        replies = await self._calls.write("renew", len(leases), *rows)
        return [LeaseState(reply.decode()) for reply in replies]

    async def progress(self, lease: Lease, update: ProgressUpdate) -> None:
        """Also renews the lease. Raises LeaseLost."""
        if not -1 <= update.progress <= 100:
            raise ValueError(f"progress must be from -1 to 100, not {update.progress}")
        held = await self._calls.write(
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
        if len(encoded) > self._calls.settings.inline_result_limit:
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
        turns = self._turns.get(worker_id)
        if turns is None:
            turns = self._turns[worker_id] = Gather(partial(self._take_turns, worker_id), self._hand_back)
        return await turns.add((ends, count))

    async def wait(self, worker_id: str, *, for_work: bool, timeout_ms: int) -> tuple[Wake, Signal | None]:
        """Block until there may be work (if `for_work`), a signal for this worker, or the time-out."""
        keys = self._calls.keys
        lists = (keys.signals(worker_id), keys.wake) if for_work else (keys.signals(worker_id),)
        async with self._calls.blocking() as wire:
            reply = await wire.call("BLPOP", *lists, timeout_ms / 1000, patience=timeout_ms / 1000)
        return _woken(reply)

    async def wait_and_claim(self, worker_id: str, count: int, *, timeout_ms: int) -> tuple[list[Lease], Signal | None]:
        """Wait as `wait` does, and claim as soon as it ends: the claim travels with the wait, in one round trip.

        Cancelled, it gives back at once what it may have claimed meanwhile.
        """
        if count < 1:
            raise ValueError("a wait must have room for at least one job, or its wake-up is lost")
        keys = self._calls.keys
        wait = ("BLPOP", keys.signals(worker_id), keys.wake, timeout_ms / 1000)
        claim = self._calls.change("claim", worker_id, count)
        async with self._calls.blocking() as wire, self._known(worker_id, wire):
            both = asyncio.ensure_future(wire.call_together(wait, claim, patience=timeout_ms / 1000))
            try:
                woken, rows = await asyncio.shield(both)
            except asyncio.CancelledError:
                await self._break_off(worker_id, wire, both)
                raise
            except RedisRefused as refused:
                if not library.is_missing(refused):
                    raise
                await self._calls.reinstall(refused)
                return [], None
        return [lease_of(worker_id, row) for row in rows], _woken(woken)[1]

    @asynccontextmanager
    async def _known(self, worker_id: str, wire: Wire) -> AsyncIterator[None]:
        self._claiming[worker_id] = wire
        try:
            yield
        finally:
            del self._claiming[worker_id]

    async def _break_off(self, worker_id: str, wire: Wire, both: asyncio.Future[list[Reply]]) -> None:
        """End a wait early and hand back what its claim took."""
        try:
            async with asyncio.timeout(BREAK_OFF_SECONDS):
                await self._calls.main.call("CLIENT", "UNBLOCK", wire.client_id)
                _, rows = await both
                await self._hand_back([([], [lease_of(worker_id, row) for row in rows])])
        except (QueueError, TimeoutError):
            return  # Redis is gone or does not answer: leases, if there are any, run out
        finally:
            both.cancel()

    async def _hand_back(self, unwanted: Sequence[Turned]) -> None:
        """Release the leases that nobody waits for any more."""
        ends = [Released(lease=lease) for _, leases in unwanted for lease in leases]
        if ends:
            await self.end_and_claim(ends[0].lease.worker_id, ends, 0)

    async def reap(self) -> list[str]:
        """Put back jobs whose lease ran out, promote delayed retries that are due, forget dead workers and old ends."""
        reaped: list[str] = []
        more = True
        while more:
            ids, flag = await self._calls.write("reap", REAP_BATCH)
            reaped += [job_id.decode() for job_id in ids]
            more = flag == b"1"
        return reaped

    async def heartbeat(self, report: WorkerReport) -> None:
        """Say that a worker is alive, and what it is doing."""
        await self._calls.write("heartbeat", report.worker_id, msgspec.json.encode(report))

    async def look(self, worker_id: str, report: WorkerReport | None = None) -> Look:
        """Bring about what is due (retries, leases that ran out), wake whoever should be awake; with a report, beat."""
        words = msgspec.json.encode(report) if report is not None else ""
        pending, reaped = await self._calls.write("look", worker_id, words)
        return Look(pending=pending, reaped=tuple(job_id.decode() for job_id in reaped))

    async def end_wait(self, worker_id: str) -> None:
        """Make a `wait_and_claim` of this worker return now, with what there is to claim."""
        wire = self._claiming.get(worker_id)
        if wire is not None and wire.client_id:
            await self._calls.main.call("CLIENT", "UNBLOCK", wire.client_id)

    async def unregister(self, worker_id: str) -> None:
        """Forget a worker that left in order."""
        await self._calls.write("unregister", worker_id)
        self._turns.pop(worker_id, None)

    async def _take_turns(self, worker_id: str, turns: Sequence[Turn]) -> list[Turned]:
        """All turns of one worker in one call; the claimed jobs go to the turns in their order."""
        limit = self._calls.settings.result_limit
        rows = [_end_row(end, limit) for ends, _ in turns for end in ends]
        count = sum(wanted for _, wanted in turns)
        words, claimed = await self._calls.write(
            "end_and_claim", worker_id, count, len(rows), *(value for row in rows for value in row)
        )
        leases = [lease_of(worker_id, row) for row in claimed]
        turned: list[Turned] = []
        for ends, wanted in turns:
            states = [_state(end, word) for end, word in zip(ends, words, strict=False)]
            words = words[len(ends) :]
            turned.append((states, leases[:wanted]))
            leases = leases[wanted:]
        return turned


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
