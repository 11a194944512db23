"""Heartbeat and lease renewal, in a thread of their own: a connector that blocks the event loop loses no job.

The same thread names a connector that blocks the loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time

from new_stack import __version__
from new_stack.backoff import Backoff
from new_stack.queue import Lease, LeaseState, Queue, QueueError, WorkerReport
from new_stack.queue.function_caller import FunctionCaller
from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.attempt import Stop
from new_stack.worker.blocked_loop import beside_the_loop
from new_stack.worker.context import WorkerContext
from new_stack.worker.reaping import Reaping
from new_stack.worker.running_jobs import RunningJobs


class Heartbeat:
    """Says that the worker is alive, and renews the leases of what runs and of the ends that wait for Redis."""

    def __init__(self, context: WorkerContext, running: RunningJobs, acknowledger: Acknowledger) -> None:
        self._context = context
        self._running = running
        self._acknowledger = acknowledger
        self._due_at = 0.0
        self.reaping = Reaping(context, acknowledger)

    def report(self) -> WorkerReport:
        """What the worker says of itself."""
        running = tuple(lease.job_id for lease in self._running.leases)
        working = "busy" if running else "idle"
        return WorkerReport(
            worker_id=self._context.worker_id,
            status="stopping" if self._running.places.closed else working,
            concurrency=self._context.settings.max_concurrent_jobs,
            running=running,
            connectors=self._context.connectors.names,
            services=self._context.connectors.services,
            capabilities=self._context.capabilities,
            jobs_processed=self._running.completed,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    async def poll(self) -> None:
        """Where the worker waits for work, make good lost wake-ups: a poll that finds work ends the wait, which claims.

        The next heartbeat travels with it, where that is nearly due and renews no lease.
        """
        context, every_s = self._context, self._context.settings.poll_interval_ms / 1000
        await asyncio.sleep(context.jitter(every_s, 0.1))
        if not self._acknowledger.fetching:
            return
        is_due = not self._running.leases and time.monotonic() >= self._due_at - every_s
        report = self.report() if is_due else None
        _, reaped = await context.queue.poll(context.claimant, report, idle_ms=context.settings.idle_ms)
        context.redis_backoff.succeeded()
        if is_due:
            self.delivered()
        self.reaping.log(reaped)

    def delivered(self) -> None:
        """Redis has a heartbeat: the next one is due an interval later."""
        self._due_at = time.monotonic() + self._context.jitter(self._context.settings.heartbeat_interval_ms / 1000, 0.1)

    async def run(self) -> None:
        """Beat, renew and watch the loop until cancelled. Raises what ended it otherwise."""
        await beside_the_loop("heartbeat", self._beat, self._running, self._context.log)

    async def _beat(self, main: asyncio.AbstractEventLoop) -> None:
        """Beat and renew over a connection of the thread's own. The worker's loops say when Redis is away."""
        backoff = Backoff(first_s=0.05, longest_s=1.0)
        queue = Queue(FunctionCaller(self._context.settings.queue, install=True))
        try:
            while True:
                if (wait_s := self._due_at - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                    continue
                try:
                    _, reaped_ago_ms = await asyncio.gather(self._renew(queue, main), queue.heartbeat(self.report()))
                except QueueError:
                    await backoff.pause()
                else:
                    backoff.succeeded()
                    self.delivered()
                    self.reaping.heard(reaped_ago_ms / 1000)
        finally:
            await queue.close()

    async def _renew(self, queue: Queue, main: asyncio.AbstractEventLoop) -> None:
        leases = (*self._running.renewable(), *self._acknowledger.leases)
        for lease, state in zip(leases, await queue.renew(leases), strict=True):
            if state is not LeaseState.HELD:
                main.call_soon_threadsafe(self._lost, lease, state)

    def _lost(self, lease: Lease, state: LeaseState) -> None:
        reason = Stop.CANCELLED if state is LeaseState.CANCELLED else Stop.LEASE_LOST
        self._running.stop(lease.job_id, lease.attempt, reason)
