"""The jobs that this worker runs: started from leases, stopped for a reason, each ending exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from new_stack.queue.jobs import End, Failed, Lease, Released
from new_stack.worker.attempt import Attempt, Stop
from new_stack.worker.context import WorkerContext


class RunningJobs:
    """As many jobs at once as `max_concurrent_jobs`."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self.on_end: Callable[[End | None], None] = lambda _: None
        """Called with each end; with None where a place is free and there is nothing to tell the queue."""
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._reserved = 0
        self.closed = False
        """Whether nothing more is started."""
        self.completed = 0
        """Jobs whose completion the queue has taken."""
        self._empty = asyncio.Event()
        self._empty.set()
        self._room_changed = asyncio.Event()

    @property
    def room(self) -> int:
        """How many more jobs may be claimed now: places that are free and reserved for no claim under way."""
        if self.closed or any(lease.alone for lease in self.leases):
            return 0
        return self._context.settings.max_concurrent_jobs - len(self._attempts) - self._reserved

    @contextmanager
    def reserved(self) -> Iterator[int]:
        """Reserve all free places for a claim under way, so that no other claim counts on them."""
        places = max(0, self.room)
        self._reserved += places
        try:
            yield places
        finally:
            self._reserved -= places

    async def until_room(self) -> None:
        """Return once there is a free place that no claim under way counts on."""
        while self.room <= 0:
            self._room_changed.clear()
            await self._room_changed.wait()

    def room_changed(self) -> None:
        """A claim came back with less than there was room for: wake whoever waits for room."""
        self._room_changed.set()

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What runs, for any thread: a tuple of a dict's values is made in one step."""
        return tuple(self._attempts.values())

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases of the running jobs."""
        return tuple(attempt.lease for attempt in self.attempts)

    def renewable(self) -> list[Lease]:
        """The leases to renew.

        Without a time-out all of them; else those of jobs that are not long past theirs: a connector that blocks the
        loop for ever does not hold its job for ever.
        """
        return [attempt.lease for attempt in self.attempts if not attempt.overdue]

    def begin(self, lease: Lease) -> None:
        """Start the job of a lease just claimed; once closed, hand it back."""
        connector = self._context.connectors.connector_for(lease.service_required)
        if self.closed:
            self.on_end(Released(lease=lease))
        elif connector is None:
            self.on_end(Failed(lease=lease, error=f"no connector of this worker serves {lease.service_required!r}"))
        else:
            attempt = Attempt(self._context, lease, connector, self._attempt_ended)
            self._attempts[lease.job_id, lease.attempt] = attempt
            self._empty.clear()
            attempt.start()

    def stop(self, job_id: str, attempt: int, reason: Stop) -> None:
        """Stop one attempt, where it is running here."""
        found = self._attempts.get((job_id, attempt))
        if found is not None:
            found.stop(reason)

    def stop_all(self, reason: Stop) -> None:
        """Stop every attempt."""
        for attempt in self.attempts:
            attempt.stop(reason)

    def abandon_all(self) -> None:
        """End everything that was stopped, whether or not its connector has given way."""
        for attempt in self.attempts:
            attempt.abandon()

    def drop_all(self) -> None:
        """Stop everything without ends: for a worker that cannot go on."""
        for attempt in self.attempts:
            attempt.drop()

    async def until_empty(self) -> None:
        """Return once no job runs."""
        await self._empty.wait()

    def _attempt_ended(self, attempt: Attempt, end: End | None) -> None:
        lease = attempt.lease
        del self._attempts[lease.job_id, lease.attempt]
        if attempt.stop_reason is not None:
            self._context.log.info(
                "job_stopped", job_id=lease.job_id, attempt=lease.attempt, reason=attempt.stop_reason
            )
        if not self._attempts:
            self._empty.set()
        self.on_end(end)
