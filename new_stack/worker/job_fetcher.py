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

    async def fetch(self) -> None:
        """Claim once there is room and work. Cancelled, it releases what its wait may claim meanwhile."""
        context, running = self._context, self._running
        await running.places.until_free()
        with running.places.reserved() as places:
            if not places:  # a claim that began meanwhile took them: a wait for nothing would use up a wake-up
                return
            self.waiting = True
            try:
                leases, signal = await context.queue.wait_and_claim(
                    context.claimant,
                    places,
                    timeout_ms=context.settings.wait_ms,
                    running=len(running.leases),
                    idle_ms=context.settings.idle_ms,
                )
            except QueueError:
                self._unsure()
                raise
            finally:
                self.waiting = False
        for lease in leases:
            running.begin(lease)
        cancel(running, signal)
