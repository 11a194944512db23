"""The jobs that this worker runs: started from leases, stopped for a reason, each ending exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from new_stack.queue.jobs import End, Lease, Released
from new_stack.worker.attempt import Attempt, Stop
from new_stack.worker.context import WorkerContext


class RunningJobs:
    """As many jobs at once as `max_concurrent_jobs`."""

    def __init__(self, context: WorkerContext, on_end: Callable[[End | None], None]) -> None:
        self._context = context
        self._on_end = on_end
        """Called with each end; with None where a place is free and there is nothing to tell the queue."""
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self.closed = False
        """Whether nothing more is started."""
        self.completed = 0
        """Jobs whose completion the queue has taken."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What runs, for any thread: a tuple of a dict's values is made in one step."""
        return tuple(self._attempts.values())

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases of the running jobs."""
        return tuple(attempt.lease for attempt in self.attempts)

    @property
    def room(self) -> int:
        """How many jobs more may be begun; none beside one that has to run alone."""
        running = self.leases
        alone = any(lease.alone for lease in running)
        return 0 if self.closed or alone else self._context.settings.max_concurrent_jobs - len(running)

    def renewable(self) -> list[Lease]:
        """The leases to renew.

        Without a time-out all of them; else those of jobs that are not long past theirs: a connector that blocks the
        loop for ever does not hold its job for ever.
        """
        return [attempt.lease for attempt in self.attempts if not attempt.overdue]

    def begin(self, lease: Lease) -> None:
        """Start the job of a lease just claimed; once closed, hand it back."""
        connector = self._context.connectors.connector_for(lease.service_required)
        if self.closed or connector is None:
            self._on_end(Released(lease=lease))
        else:
            key = (lease.job_id, lease.attempt)
            self._attempts[key] = Attempt(self._context, lease, connector, partial(self._ended, key))

    def stop(self, job_id: str, attempt: int, reason: Stop) -> None:
        """Stop one attempt, where it is running here."""
        found = self._attempts.get((job_id, attempt))
        if found is not None:
            found.stop(reason)

    async def until_empty(self) -> None:
        """Return once what runs now has ended; a connector that is left behind is not waited for."""
        await asyncio.gather(*(attempt.over.wait() for attempt in self.attempts))

    def _ended(self, key: tuple[str, int], end: End | None) -> None:
        reason = self._attempts.pop(key).stop_reason
        if reason is not None:
            self._context.log.info("job_stopped", job_id=key[0], attempt=key[1], reason=reason)
        self._on_end(end)
