"""The worker's wait for work, as long as there is room for more."""

from __future__ import annotations

from collections.abc import Callable

from new_stack.queue import QueueError
from new_stack.worker.cancellations import cancel
from new_stack.worker.context import WorkerContext
from new_stack.worker.running_jobs import RunningJobs


class JobFetcher:
    """Waits for work and claims it in the same round trip, for places that it has reserved."""

    def __init__(self, context: WorkerContext, running: RunningJobs, *, unsure: Callable[[], None]) -> None:
        self._context = context
        self._running = running
        self._unsure = unsure
        self.waiting = False
        """Whether it is waiting for work now."""

    async def run(self) -> None:
        """Fetch jobs for ever. Cancelled, it releases what its wait may claim meanwhile."""
        while True:
            await self._running.until_room()
            self.waiting = True
            try:
                await self._fetch()
            except QueueError as error:
                self._unsure()
                await self._context.redis_backoff.pause(error)
            finally:
                self.waiting = False

    async def _fetch(self) -> None:
        with self._running.reserved() as places:
            if not places:  # a claim that began meanwhile took them: a wait for nothing would use up a wake-up
                return
            context, wait_ms = self._context, self._context.settings.wait_ms
            leases, signal = await context.queue.wait_and_claim(
                context.claimant,
                places,
                timeout_ms=wait_ms,
                running=len(self._running.leases),
                idle_ms=context.settings.idle_ms,
            )
        for lease in leases:
            self._running.begin(lease)
        cancel(self._running, signal)
