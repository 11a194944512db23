"""What workers may do: claim, renew, report progress, end, wait, reap, heartbeat."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

import msgspec

from new_stack.matching import offered
from new_stack.queue.broken_off import Claimed, unless_broken_off
from new_stack.queue.connection import Argument, Command, Connection, Reply
from new_stack.queue.decoding import leases_of
from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.events import EventKind
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.jobs import (
    ALL_SERVICES,
    Claimant,
    Completed,
    End,
    Failed,
    JobState,
    Lease,
    LeaseState,
    ProgressUpdate,
    Released,
    WorkerReport,
)
from new_stack.queue.signals import WAIT_LIMIT_MS, Signal, SignalReceiver, signal_of

REAP_BATCH: Final = 200
IDLE_MS: Final = WAIT_LIMIT_MS + 500
"""How long a worker that waits counts as idle: while its wait lasts, and for as long as its next one needs to begin."""

MESSAGE_LIMIT: Final = 4_096
"""Longest message kept of a progress, in characters."""

ERROR_LIMIT: Final = 65_536
"""Longest error text kept of an attempt, in characters."""

TYPE_LIMIT: Final = 256
TRACEBACK_LIMIT: Final = 8_192
"""Of an error's type and of its traceback, whose end says most."""


Answer = tuple[list[JobState | QueueError], list[Lease]]
"""The new state of each job that was to end, or why not, and the new leases."""


class Consumer(SignalReceiver):
    """Takes jobs, keeps them and ends them, for any number of workers of one process.

    A worker is named by its id, where it serves every service, or by a `Claimant`. `running` is how many jobs it has
    besides; a job that must run alone is given only to a worker that has none.
    """

    def __init__(self, caller: FunctionCaller) -> None:
        super().__init__(caller)
        self._idle: set[str] = set()
        """Workers that count as idle in Redis and will be woken; the wait of any other begins with a claim."""

    async def claim(self, worker: str | Claimant, count: int = 1, *, running: int = 0) -> list[Lease]:
        """Take up to `count` jobs, highest priority first, then oldest, each with a lease."""
        _, leases = await self.end_and_claim(worker, [], count, running=running)
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
        far = update.progress if update.kind is EventKind.PROGRESS else ""
        said = (update.kind, far, update.status, (update.message or "")[:MESSAGE_LIMIT], self._details(update))
        held = (lease.job_id, lease.attempt, lease.worker_id)
        reply = await self._caller.write("progress", *held, *said, update.number)
        if reply != b"held":
            raise LeaseLost(lease.job_id, cancelled=reply == b"cancelled")

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
        self, worker: str | Claimant, ends: Sequence[End], count: int, *, running: int = 0, idle_ms: int = 0
    ) -> Answer:
        """End jobs and claim up to `count` next ones in one round trip. Cancelled, it gives back what it claims.

        With `idle_ms` the worker waits afterwards (`wait_and_claim`) where it got less than it has room for: it takes
        its share only, and counts as idle for so long.
        """
        claimant = _claimant(worker)
        rows = [_end_row(end, self._caller.settings.result_limit) for end in ends]
        call = self._caller.commit if rows else self._caller.write
        places = (running, idle_ms, count, len(rows))
        asked = call("end_and_claim", *claimant.row, *places, *chain.from_iterable(rows))
        words, leases = await self._claimed(claimant, asked, count if idle_ms else 0)
        return [_state(end, word) for end, word in zip(ends, words, strict=True)], leases

    async def _claimed(
        self, claimant: Claimant, asked: Coroutine[Any, Any, Claimed], room: int, blocked: Connection | None = None
    ) -> tuple[Any, list[Lease]]:
        """What is answered to a call that claims, and the leases. `room` is what it fills, or waits with."""
        give_back = partial(self._give_back, claimant)
        said, rows = await unless_broken_off(asked, give_back, self._caller, blocked=blocked)
        leases = leases_of(rows)
        if room:
            # A claim that filled every place left the worker unknown among the idle: nobody would wake its next wait.
            (self._idle.add if len(leases) < room else self._idle.discard)(claimant.worker_id)
        return said, leases

    async def _give_back(self, claimant: Claimant, rows: Sequence[Any]) -> None:
        if leases := leases_of(rows):
            await self.end_and_claim(claimant, [Released(lease=lease) for lease in leases], 0)

    async def wait_and_claim(
        self, worker: str | Claimant, count: int, *, timeout_ms: int = WAIT_LIMIT_MS, running: int = 0
    ) -> tuple[list[Lease], Signal | None]:
        """Wait until this worker is woken for a job, and claim as soon as it is: the claim travels with the wait, in
        one round trip. A signal for the worker ends the wait, too.

        Where it gets less than it has room for, the worker counts as idle, to be woken. Cancelled, it gives back at
        once what it may have claimed.
        """
        if count < 1:
            raise ValueError("a wait must have room for at least one job, or its wake-up is lost")
        timeout_ms = min(timeout_ms, WAIT_LIMIT_MS)
        claimant = _claimant(worker)
        signals, wake = (self._caller.key(f"{kind}:{claimant.worker_id}") for kind in ("signals", "wake"))
        claim = self._caller.change("end_and_claim", *claimant.row, running, IDLE_MS, count, 0)
        wait_s = timeout_ms / 1000 if claimant.worker_id in self._idle else 0.001
        self._idle.discard(claimant.worker_id)  # until answered: a Redis that comes back may have forgotten it
        async with self._caller.blocking() as connection:
            both = self._caller.insist(_wait_and_claim, connection, wait_s, ("BLPOP", signals, wake, wait_s), claim)
            woken, leases = await self._claimed(claimant, both, count, connection)
        return leases, signal_of(woken, signals)

    async def reap(self) -> list[str]:
        """Do what is due: put back jobs whose lease ran out, promote retries, wake idle workers for what nobody came
        for, forget dead workers and old ends. Answers which jobs had lost their worker.
        """
        reaped: list[str] = []
        more = b"1"
        while more == b"1":
            ids, more = await self._caller.write("reap", REAP_BATCH)
            reaped += [job_id.decode() for job_id in ids]
        return reaped

    def claimant_of(self, report: WorkerReport) -> Claimant:
        """As whom a worker claims that reports so: with its capabilities, where matching is on.

        Raises matching.CapabilitiesError for capabilities that no rule can work with.
        """
        offers = offered(report.capabilities) if self._caller.settings.matching else ""
        return Claimant(worker_id=report.worker_id, services=report.services or ALL_SERVICES, offers=offers)

    async def heartbeat(self, report: WorkerReport) -> int:
        """Say that a worker is alive and what it is doing. It serves `report.services`, or all where it names none.

        Answers how many workers are alive.
        """
        row = self.claimant_of(report).row
        return int(await self._caller.write("heartbeat", *row, msgspec.json.encode(report)))

    async def unregister(self, worker_id: str) -> None:
        """Forget a worker that left in order."""
        await self._caller.write("unregister", worker_id)
        self._idle.discard(worker_id)


async def _wait_and_claim(connection: Connection, wait_s: float, *both: Command) -> tuple[Reply, Sequence[Any]]:
    woken, (_, rows) = await connection.call_together(*both, patience=wait_s)
    return woken, rows


def _claimant(worker: str | Claimant) -> Claimant:
    return Claimant(worker_id=worker) if isinstance(worker, str) else worker


def _end_row(end: End, result_limit: int) -> tuple[Argument, ...]:
    lease = end.lease
    held = (lease.job_id, lease.attempt, lease.worker_id)
    match end:
        case Completed(result=result):
            body = bytes(result) or b"null"
            if len(body) > result_limit:
                why = f"the result is {len(body)} bytes long; the limit is {result_limit}"
                return _end_row(Failed(lease=lease, error=why, retryable=False), result_limit)
            return ("complete", *held, body, "", "", "")
        case Failed():
            about = (end.error_type[:TYPE_LIMIT], end.traceback[-TRACEBACK_LIMIT:])
            return ("fail", *held, end.error[:ERROR_LIMIT], "1" if end.retryable else "0", *about)
        case Released():
            return ("release", *held, "", "", "", "")


_STATES: Final = {state.encode(): state for state in JobState}


def _state(end: End, word: bytes) -> JobState | QueueError:
    if word in {b"lost", b"cancelled"}:
        return LeaseLost(end.lease.job_id, cancelled=word == b"cancelled")
    return _STATES[word]
