"""The jobs in hand: started from leases, stopped for a reason, each ending exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from new_stack.queue.jobs import End, Failed, Lease, Released
from new_stack.worker.attempt import Attempt, Stop
from new_stack.worker.context import WorkerContext
from new_stack.worker.progress import ProgressPublisher


class RunningJobs:
    """As many jobs at once as `max_concurrent_jobs`. `ended` is told each end; None: a place is free."""

    def __init__(self, context: WorkerContext, ended: Callable[[End | None], None]) -> None:
        self._context = context
        self._tell = ended
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._reserved = 0
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._room = asyncio.Event()

    @property
    def room(self) -> int:
        """How many more jobs may be claimed now: places that are free and reserved by nobody."""
        return 0 if self._closed else self._context.settings.max_concurrent_jobs - len(self._attempts) - self._reserved

    @contextmanager
    def reserved(self) -> Iterator[int]:
        """Reserve all free places for a claim on its way, so that no other claim counts on them."""
        places = max(0, self.room)
        self._reserved += places
        try:
            yield places
        finally:
            self._reserved -= places

    async def until_room(self) -> None:
        """Return once there is a free place that no claim on its way counts on."""
        while self.room <= 0:
            self._room.clear()
            await self._room.wait()

    def look_again(self) -> None:
        """A claim came back with less than there was room for: tell whoever waits for room."""
        self._room.set()

    @property
    def closed(self) -> bool:
        """Whether nothing more is started."""
        return self._closed

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases of the jobs in hand."""
        return tuple(attempt.lease for attempt in self._attempts.values())

    def begin(self, lease: Lease) -> None:
        """Start the job of a lease just claimed; once closed, hand it back."""
        connector = self._context.connectors.connector_for(lease.service_required)
        if self._closed:
            self._tell(Released(lease=lease))
        elif connector is None:
            self._tell(Failed(lease=lease, error=f"no connector of this worker serves {lease.service_required!r}"))
        else:
            context = self._context
            publisher = ProgressPublisher(partial(context.queue.progress, lease), context.outage)
            attempt = Attempt(lease, connector, publisher, self._ended, context.log)
            self._attempts[lease.job_id, lease.attempt] = attempt
            self._empty.clear()
            attempt.start(context.settings)

    def stop(self, job_id: str, attempt: int, reason: Stop) -> None:
        """Stop one attempt, where it is in hand."""
        found = self._attempts.get((job_id, attempt))
        if found is not None:
            found.stop(reason)

    def stop_all(self, reason: Stop) -> None:
        """Stop everything."""
        for attempt in tuple(self._attempts.values()):
            attempt.stop(reason)

    def leave_all_behind(self) -> None:
        """End everything that was stopped, whether or not its connector has given way."""
        for attempt in tuple(self._attempts.values()):
            attempt.leave_behind()

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True

    async def until_empty(self) -> None:
        """Return once no job is in hand."""
        await self._empty.wait()

    def drop_all(self) -> None:
        """Leave everything where it is, ends untold: for a worker that cannot go on."""
        for attempt in self._attempts.values():
            attempt.drop()

    def _ended(self, attempt: Attempt, end: End | None) -> None:
        lease = attempt.lease
        del self._attempts[lease.job_id, lease.attempt]
        if attempt.stop_reason is not None:
            self._context.log.info(
                "job_stopped", job_id=lease.job_id, attempt=lease.attempt, reason=attempt.stop_reason
            )
        if not self._attempts:
            self._empty.set()
        self._tell(end)
