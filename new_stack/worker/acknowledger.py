"""Ends jobs and claims the next ones in one call; whatever ends at the same moment shares it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from new_stack.queue.errors import LeaseLost, QueueError, QueueUnavailable
from new_stack.queue.jobs import Completed, End, Failed, JobState
from new_stack.worker.context import WorkerContext
from new_stack.worker.orphaned_claims import AFTER_S, OrphanedClaims
from new_stack.worker.running_jobs import RunningJobs


class Acknowledger:
    """The one place where leases come in and ends go out. Ends wait here through an outage; none is dropped."""

    def __init__(self, context: WorkerContext, running: RunningJobs) -> None:
        self._context = context
        self._running = running
        self._orphans = OrphanedClaims(context.queue, context.worker_id)
        self._ends: list[End] = []
        self._on_their_way: list[End] = []
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._unsure = False

    @property
    def waiting(self) -> int:
        """How many ends have not been told yet, as far as we know."""
        return len(self._ends) + len(self._on_their_way)

    def end(self, end: End | None) -> None:
        """A place is free: send this end, if there is one, with the next call, and claim in the same."""
        if end is not None:
            self._ends.append(end)
            self._settled.clear()
        self._wanted.set()

    def look(self) -> None:
        """There may be work: claim what there is room for."""
        self._wanted.set()

    def unsure(self) -> None:
        """A call that may have claimed something got no answer: look for orphaned claims before the next one."""
        self._unsure = True
        self._wanted.set()

    async def until_settled(self) -> None:
        """Return once every end was told."""
        await self._settled.wait()

    async def run(self) -> None:
        """Turn over for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._on_their_way, self._ends = self._ends, []
            try:
                await self._turn(self._on_their_way)
            except QueueUnavailable as error:
                self._take_back()
                self.unsure()
                self._context.outage.noticed(error)
                await self._context.outage.pause()

    async def _turn(self, ends: Sequence[End]) -> None:
        if self._unsure:
            await self._hand_back_strays()
        with self._running.reserved() as places:
            if not ends and not places:
                return
            states, leases = await self._context.queue.end_and_claim(self._context.worker_id, ends, places)
        self._on_their_way = []
        self._context.outage.over()
        for lease in leases:
            self._running.begin(lease)
        put_off = self._read(ends, states)
        if not self._ends:
            self._settled.set()
        if len(leases) < places:
            self._running.look_again()
        if put_off:
            await self._context.outage.pause()

    def _take_back(self) -> None:
        self._ends[:0] = self._on_their_way
        self._on_their_way = []

    def _read(self, ends: Sequence[End], states: Sequence[JobState | QueueError]) -> bool:
        """Act on the answers; tells whether some ends have to wait for a better moment."""
        put_off = False
        for end, state in zip(ends, states, strict=True):
            if isinstance(state, QueueUnavailable):
                put_off = True
                self.end(end)
            elif isinstance(state, QueueError):
                self._refused(end, state)
            elif isinstance(end, Failed):
                self._context.log.warning("attempt_failed", job_id=end.lease.job_id, error=end.error, state=state)
        return put_off

    def _refused(self, end: End, error: QueueError) -> None:
        self._context.log.warning("end_refused", job_id=end.lease.job_id, error=str(error))
        if isinstance(end, Completed) and not isinstance(error, LeaseLost):
            self.end(Failed(lease=end.lease, error=f"the result could not be stored: {error}", retryable=False))

    async def _hand_back_strays(self) -> None:
        self._unsure = False
        held = await self._orphans.jobs()
        known = {(lease.job_id, lease.attempt) for lease in self._running.leases}
        known |= {(end.lease.job_id, end.lease.attempt) for end in (*self._on_their_way, *self._ends)}
        for orphan in self._orphans.found(held, known):
            self._context.log.warning(
                "orphaned_claim_released", job_id=orphan.lease.job_id, attempt=orphan.lease.attempt
            )
            self.end(orphan)
        if self._orphans.suspected:
            asyncio.get_running_loop().call_later(AFTER_S, self.unsure)
