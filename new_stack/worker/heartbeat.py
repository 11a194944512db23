"""Heartbeat, lease renewal and reaping, in a thread of their own: a connector that blocks the event loop loses no job.

The same thread names a connector that blocks the loop.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from typing import Final

from new_stack import __version__
from new_stack.backoff import Backoff
from new_stack.queue import LeaseState, Queue, QueueError, WorkerReport
from new_stack.queue.function_caller import FunctionCaller
from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.attempt import Stop
from new_stack.worker.blocked_loop import beside_the_loop
from new_stack.worker.context import WorkerContext

REAPERS: Final = 5
"""So many workers or so reap in each poll interval, whoever they are: leases run out only while somebody does so every
3 s, and no worker has to be missed by the others for that."""


class Heartbeat:
    """Says that the worker is alive, renews the leases of what runs and of the ends that wait for Redis, and reaps."""

    def __init__(self, context: WorkerContext, acknowledger: Acknowledger) -> None:
        self._context = context
        self._acknowledger = acknowledger
        self._running = acknowledger.running

    def report(self) -> WorkerReport:
        """What the worker says of itself."""
        running = tuple(lease.job_id for lease in self._running.leases)
        working = "busy" if running else "idle"
        return WorkerReport(
            worker_id=self._context.worker_id,
            status="stopping" if self._running.closed else working,
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

    async def run(self) -> None:
        """Beat, renew and watch the loop until cancelled. Raises what ended it otherwise."""
        await beside_the_loop("heartbeat", self._beat, self._running, self._context.log)

    async def _beat(self, main: asyncio.AbstractEventLoop) -> None:
        """Beat, renew and reap over a connection of the thread's own. The worker's loops say when Redis is away."""
        context, settings = self._context, self._context.settings
        queue, backoff = Queue(FunctionCaller(settings.queue, install=True)), Backoff(first_s=0.05, longest_s=1.0)
        due_at, alive = 0.0, 1
        try:
            while True:
                try:
                    if time.monotonic() >= due_at:
                        _, alive = await asyncio.gather(self._renew(queue, main), queue.heartbeat(self.report()))
                        due_at = time.monotonic() + _jittered(settings.heartbeat_interval_ms)
                    if random.random() * alive < REAPERS and (reaped := await queue.reap()):  # noqa: S311 - a turn, no secret
                        context.log.warning("leases_expired", job_ids=reaped)
                except QueueError:
                    await backoff.pause()
                else:
                    backoff.succeeded()
                    until_due_s = due_at - time.monotonic()
                    await asyncio.sleep(min(until_due_s, _jittered(settings.poll_interval_ms)))
        finally:
            await queue.close()

    async def _renew(self, queue: Queue, main: asyncio.AbstractEventLoop) -> None:
        leases = (*self._running.renewable(), *self._acknowledger.leases)
        for lease, state in zip(leases, await queue.renew(leases), strict=True):
            if state is not LeaseState.HELD:
                reason = Stop.CANCELLED if state is LeaseState.CANCELLED else Stop.LEASE_LOST
                main.call_soon_threadsafe(self._running.stop, lease.job_id, lease.attempt, reason)


def _jittered(around_ms: int) -> float:
    """In seconds, at most a tenth more or less: many workers shall not do the same at the same moment."""
    return around_ms / 1000 * random.uniform(0.9, 1.1)  # noqa: S311 - jitter needs no secrecy
