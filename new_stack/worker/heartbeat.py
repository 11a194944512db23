"""What a worker does by the clock: heartbeat and renewal, polling, reaping."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from new_stack import __version__
from new_stack.queue import LeaseState
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.jobs import WorkerReport
from new_stack.worker.attempt import Stop
from new_stack.worker.context import WorkerContext
from new_stack.worker.job_fetcher import JobFetcher
from new_stack.worker.running_jobs import RunningJobs

UNWOKEN_S: Final = 0.05
"""How long after a look that found work the wake-up may take."""


class Heartbeat:
    """Says that the worker is alive, keeps its leases, and looks at the line while the worker waits for work."""

    def __init__(self, context: WorkerContext, running: RunningJobs, fetcher: JobFetcher) -> None:
        self._context = context
        self._running = running
        self._fetcher = fetcher

    async def run(self) -> None:
        """Beat and look for ever, each at its own interval; while Redis is away, at the outage's pace."""
        clock = asyncio.get_running_loop().time
        beat_at = look_at = clock()
        while True:
            now = clock()
            look = now >= look_at
            # A heartbeat that is nearly due travels with the look: one call instead of two.
            beat = now >= beat_at - (self._context.settings.poll_interval_ms / 1000 if look else 0)
            try:
                await self._tick(beat=beat, look=look)
            except QueueUnavailable as error:
                self._context.outage.noticed(error)
                await self._context.outage.pause()
                beat_at = look_at = clock()
                continue
            if beat:
                beat_at = now + self._jittered(self._context.settings.heartbeat_interval_ms)
            if look:
                look_at = now + self._jittered(self._context.settings.poll_interval_ms)
            await asyncio.sleep(max(0.0, min(beat_at, look_at) - clock()))

    async def _tick(self, *, beat: bool, look: bool) -> None:
        if beat:
            await self._renew()
        if look and self._fetcher.waiting:
            await self._look(self.report() if beat else None)
        elif beat:
            await self._context.queue.heartbeat(self.report())
        else:
            return
        self._context.outage.over()

    async def _renew(self) -> None:
        """Before all else: after an outage, each lease renewed is a job that need not run again."""
        leases = self._running.leases
        for lease, state in zip(leases, await self._context.queue.renew(leases), strict=True):
            if state is not LeaseState.HELD:
                reason = Stop.CANCELLED if state is LeaseState.CANCELLED else Stop.LEASE_LOST
                self._running.stop(lease.job_id, lease.attempt, reason)

    async def _look(self, report: WorkerReport | None) -> None:
        """The safety net under the wake-ups: where there is work and this did not wake us, go and claim."""
        seen = await self._context.queue.poll(self._context.worker_id, report)
        if seen.reaped:
            self._context.log.warning("leases_expired", job_ids=seen.reaped)
        if seen.pending and not await self._fetcher.woken(UNWOKEN_S):
            await self._context.queue.end_wait(self._context.worker_id)

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
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    def _jittered(self, interval_ms: int) -> float:
        return interval_ms / 1000 * (0.9 + 0.2 * self._context.chance.random())


async def reap_loop(context: WorkerContext) -> None:
    """Forget what is past (ended jobs that have expired, workers long gone) now and then, for ever.

    It reaps as well, for workers that are all busy. Any number of processes may do so at once.
    """
    while True:
        await asyncio.sleep(context.settings.reap_interval_ms / 1000 * (0.75 + 0.5 * context.chance.random()))
        try:
            reaped = await context.queue.reap()
        except QueueUnavailable as error:
            context.outage.noticed(error)
        else:
            if reaped:
                context.log.warning("leases_expired", job_ids=reaped)
