"""The worker's wait for work, as long as there is room for more."""

from __future__ import annotations

import asyncio
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
        self._wait: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether it is waiting for work now."""
        return self._wait is not None

    async def woken(self, within_s: float) -> bool:
        """Whether the wait that is on now ends within that time."""
        wait = self._wait
        if wait is None:
            return True
        done, _ = await asyncio.wait([wait], timeout=within_s)
        return bool(done)

    def break_off(self) -> None:
        """End the wait; what it may claim meanwhile is released. It begins anew if there is room."""
        if self._wait is not None:
            self._wait.cancel()

    async def run(self) -> None:
        """Fetch jobs for ever."""
        while True:
            await self._running.until_room()
            self._wait = asyncio.create_task(self._fetch())
            try:
                await self._wait
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    self._wait.cancel()
                    raise
            except QueueError as error:
                self._unsure()
                await self._context.redis_backoff.pause(error)
            finally:
                self._wait = None

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
