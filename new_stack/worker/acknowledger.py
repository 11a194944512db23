"""Ends jobs and claims the next ones: in one call, which whatever ends at the same moment shares, or after a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from new_stack.queue.consumer import IDLE_MS
from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.jobs import Completed, End, Failed, Lease
from new_stack.worker.cancellations import cancel
from new_stack.worker.context import WorkerContext
from new_stack.worker.orphaned_claims import AGE_S, OrphanedClaims
from new_stack.worker.running_jobs import RunningJobs


class Acknowledger:
    """The one place that ends jobs, and that claims them. Ends wait here through an outage; none is dropped."""

    def __init__(self, context: WorkerContext, running: RunningJobs) -> None:
        self._context = context
        self._running = running
        self._orphans = OrphanedClaims(context)
        self._ends: list[End] = []
        self._sent: list[End] = []
        """The ends of the call under way."""
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._unsure = False

    @property
    def waiting(self) -> int:
        """How many ends Redis has not taken yet, as far as we know."""
        return len(self._ends) + len(self._sent)

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases of the jobs whose ends wait: they are renewed, else the jobs would run again. For any thread."""
        return tuple(end.lease for end in [*self._ends, *self._sent])

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
        """Once there is something to end or room for more, end and claim."""
        await self._wanted.wait()
        self._wanted.clear()
        self._sent, self._ends = self._ends, []
        try:
            await self._end_and_claim(self._sent)
        except QueueError:  # of whatever kind: an end that Redis does not take now, it may take later
            self._ends[:0] = self._sent
            self._sent = []
            self.unsure()
            raise

    async def fetch(self) -> None:
        """Wait for work, once there is room for more, and claim it in the same round trip.

        Cancelled, it releases what its wait may claim meanwhile.
        """
        context, running = self._context, self._running
        await running.places.until_free()
        with running.places.reserved() as places:
            try:
                leases, signal = await context.queue.wait_and_claim(
                    context.claimant, places, running=len(running.leases)
                )
            except QueueError:
                self.unsure()
                raise
        for lease in leases:
            running.begin(lease)
        cancel(running, signal)

    async def _end_and_claim(self, ends: Sequence[End]) -> None:
        if self._unsure:
            await self._release_orphans()
        with self._running.places.reserved() as places:
            states, leases = await self._context.queue.end_and_claim(
                self._context.claimant,
                ends,
                places,
                running=len(self._running.leases),
                idle_ms=IDLE_MS,
            )
        self._sent = []
        for lease in leases:
            self._running.begin(lease)
        for end, state in zip(ends, states, strict=True):
            if isinstance(state, QueueError):
                self._refused(end, state)
            elif isinstance(end, Completed):
                self._running.completed += 1
            elif isinstance(end, Failed):
                self._context.log.warning("attempt_failed", job_id=end.lease.job_id, error=end.error, state=state)
        if not self._ends:
            self._settled.set()
        if len(leases) < places:
            self._running.places.changed()

    def _refused(self, end: End, error: QueueError) -> None:
        self._context.log.warning("end_refused", job_id=end.lease.job_id, error=str(error))
        if isinstance(end, Completed) and not isinstance(error, LeaseLost):
            self.end(Failed(lease=end.lease, error=f"the result could not be stored: {error}", retryable=False))

    async def _release_orphans(self) -> None:
        self._unsure = False
        known = {(lease.job_id, lease.attempt) for lease in (*self._running.leases, *self.leases)}
        for orphan in await self._orphans.found(known):
            self.end(orphan)
        if self._orphans.suspected:
            asyncio.get_running_loop().call_later(AGE_S, self.unsure)
