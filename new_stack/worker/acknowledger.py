"""Ends jobs and claims the next ones: in one call, which whatever ends at the same moment shares, or after a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from new_stack.queue.consumer import IDLE_MS
from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.jobs import Completed, End, Failed, Lease
from new_stack.worker.cancellations import cancel
from new_stack.worker.context import WorkerContext
from new_stack.worker.orphaned_claims import AGE_S, OrphanedClaims
from new_stack.worker.running_jobs import RunningJobs


class Acknowledger:
    """The one place that ends jobs, and that claims them. Ends wait here through an outage; none is dropped."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self.running = RunningJobs(context, self.end)
        self._orphans = OrphanedClaims(context)
        self._ends: list[End] = []
        """What Redis has not taken yet, as far as we know."""
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._unsure = False
        self._reserved = 0
        """Places that claims under way count on."""
        self._room_left = asyncio.Event()

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases of the jobs whose ends wait: they are renewed, else the jobs would run again. For any thread."""
        return tuple(end.lease for end in tuple(self._ends))

    def end(self, end: End | None) -> None:
        """A place is free: send this end, if there is one, with the next call, and claim in the same."""
        if end is not None:
            self._ends.append(end)
            self._settled.clear()
        self._wanted.set()

    def unsure(self) -> None:
        """A call that may have claimed something got no answer: look for orphaned claims before the next one."""
        self._unsure = True
        self._wanted.set()

    async def until_settled(self) -> None:
        """Return once Redis has taken every end."""
        await self._settled.wait()

    async def acknowledge(self) -> None:
        """Once there is something to end or room for more, end and claim. An end that Redis does not take, for whatever
        reason, waits for the next call.
        """
        await self._wanted.wait()
        self._wanted.clear()
        with self._places() as places:
            if self._unsure:
                await self._release_orphans()
            ends = tuple(self._ends)
            states, leases = await self._context.queue.end_and_claim(
                self._context.claimant, ends, places, running=len(self.running.leases), idle_ms=IDLE_MS
            )
        del self._ends[: len(ends)]
        for lease in leases:
            self.running.begin(lease)
        for end, state in zip(ends, states, strict=True):
            if isinstance(state, QueueError):
                self._refused(end, state)
            elif isinstance(end, Completed):
                self.running.completed += 1
            elif isinstance(end, Failed):
                self._context.log.warning("attempt_failed", job_id=end.lease.job_id, error=end.error, state=state)
        if not self._ends:
            self._settled.set()
        if len(leases) < places:
            self._room_left.set()

    async def fetch(self) -> None:
        """Wait for work, once there is room for more, and claim it in the same round trip.

        Cancelled, it releases what its wait may claim meanwhile.
        """
        while self._free <= 0:
            self._room_left.clear()
            await self._room_left.wait()
        with self._places() as places:
            leases, signal = await self._context.queue.wait_and_claim(
                self._context.claimant, places, running=len(self.running.leases)
            )
        for lease in leases:
            self.running.begin(lease)
        cancel(self.running, signal)

    @property
    def _free(self) -> int:
        return self.running.room - self._reserved

    @contextmanager
    def _places(self) -> Iterator[int]:
        """All free places, for a claim under way: no other one counts on them. One that fails may have claimed."""
        places = max(0, self._free)
        self._reserved += places
        try:
            yield places
        except QueueError:
            self.unsure()
            raise
        finally:
            self._reserved -= places

    def _refused(self, end: End, error: QueueError) -> None:
        self._context.log.warning("end_refused", job_id=end.lease.job_id, error=str(error))
        if isinstance(end, Completed) and not isinstance(error, LeaseLost):
            self.end(Failed(lease=end.lease, error=f"the result could not be stored: {error}", retryable=False))

    async def _release_orphans(self) -> None:
        self._unsure = False
        known = {(lease.job_id, lease.attempt) for lease in (*self.running.leases, *self.leases)}
        for orphan in await self._orphans.found(known):
            self.end(orphan)
        if self._orphans.suspected:
            asyncio.get_running_loop().call_later(AGE_S, self.unsure)
