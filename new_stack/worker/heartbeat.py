"""What a worker does by the clock: heartbeat and renewal, polling, reaping; and the check that its name is its own."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from new_stack import __version__
from new_stack.queue import LeaseState, Queue, WorkerInfo
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.jobs import WorkerReport
from new_stack.settings import SettingsError
from new_stack.worker.attempt import Stop
from new_stack.worker.context import WorkerContext
from new_stack.worker.job_fetcher import JobFetcher
from new_stack.worker.running_jobs import RunningJobs

UNWOKEN_S: Final = 0.05
"""How long after a poll that found work the wake-up may take."""
ASK_AGAIN_S: Final = 0.25
"""How often another holder of the worker's name is looked at."""


class Heartbeat:
    """Says that the worker is alive, renews its leases, and polls for work while the worker waits for some."""

    def __init__(self, context: WorkerContext, running: RunningJobs, fetcher: JobFetcher) -> None:
        self._context = context
        self._running = running
        self._fetcher = fetcher

    async def run(self) -> None:
        """Beat and poll for ever, each at its own interval; while Redis is away, as often as the back-off says."""
        settings = self._context.settings
        clock = asyncio.get_running_loop().time
        beat_at = poll_at = clock()
        while True:
            now = clock()
            poll = now >= poll_at
            # A heartbeat that is nearly due travels with the poll: one call instead of two.
            beat = now >= beat_at - (settings.poll_interval_ms / 1000 if poll else 0)
            try:
                await self._tick(beat=beat, poll=poll)
            except QueueUnavailable as error:
                await self._context.redis_backoff.pause(error)
                beat_at = poll_at = clock()
                continue
            if beat:
                beat_at = now + self._jittered(settings.heartbeat_interval_ms)
            if poll:
                poll_at = now + self._jittered(settings.poll_interval_ms)
            await asyncio.sleep(max(0.0, min(beat_at, poll_at) - clock()))

    async def _tick(self, *, beat: bool, poll: bool) -> None:
        if beat:
            await self._renew()
        if poll and self._fetcher.waiting:
            await self._poll(self.report() if beat else None)
        elif beat:
            await self._context.queue.heartbeat(self.report())
        else:
            return
        self._context.redis_backoff.succeeded()

    async def _renew(self) -> None:
        """Before all else: after an outage, each lease renewed is a job that need not run again."""
        leases = self._running.leases
        for lease, state in zip(leases, await self._context.queue.renew(leases), strict=True):
            if state is not LeaseState.HELD:
                reason = Stop.CANCELLED if state is LeaseState.CANCELLED else Stop.LEASE_LOST
                self._running.stop(lease.job_id, lease.attempt, reason)

    async def _poll(self, report: WorkerReport | None) -> None:
        """Make good a lost wake-up: where there is work and the wait for it goes on, end the wait, which claims."""
        found = await self._context.queue.poll(self._context.worker_id, report)
        if found.reaped:
            self._context.log.warning("leases_expired", job_ids=found.reaped)
        if found.pending and not await self._fetcher.woken(UNWOKEN_S):
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

    It reaps expired leases as well, for workers that are all busy. Any number of processes may do so at once.
    """
    while True:
        await asyncio.sleep(context.settings.reap_interval_ms / 1000 * (0.75 + 0.5 * context.chance.random()))
        try:
            reaped = await context.queue.reap()
        except QueueUnavailable as error:
            context.redis_backoff.failed(error)
        else:
            if reaped:
                context.log.warning("leases_expired", job_ids=reaped)


async def ensure_unique_name(queue: Queue, worker_id: str, *, heartbeat_ttl_ms: int) -> None:
    """Return once nobody else goes by this name: two would take each other's signals and release each other's jobs.

    A predecessor that died does not count. Where it cannot be known from here whether it died, wait for its next
    heartbeat, at most its time to live. Raises SettingsError where somebody else is alive, QueueUnavailable.
    """
    first = await _holder(queue, worker_id)
    if first is None or _is_gone(first):
        return
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + heartbeat_ttl_ms / 1000
    while loop.time() < give_up_at:
        await asyncio.sleep(ASK_AGAIN_S)
        now = await _holder(queue, worker_id)
        if now is None:
            return
        if now.seen_at != first.seen_at:
            where = f"on {now.report.host} (process {now.report.pid})"
            raise SettingsError(f"a worker named {worker_id} is alive {where}: give each a WORKER_ID of its own")


async def _holder(queue: Queue, worker_id: str) -> WorkerInfo | None:
    named = (worker for worker in await queue.workers() if worker.report.worker_id == worker_id and worker.alive)
    return next(named, None)


def _is_gone(worker: WorkerInfo) -> bool:
    """Whether the process is known to have ended: it ran here, and is not here any more (or its number is ours)."""
    report = worker.report
    if report.host != socket.gethostname() or report.pid <= 0:
        return False
    if report.pid == os.getpid():
        return True
    try:
        os.kill(report.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
