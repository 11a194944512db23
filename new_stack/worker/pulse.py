"""What a worker does by the clock: heartbeat and renewal, polling, reaping."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable

from new_stack import __version__
from new_stack.queue import LeaseState, Queue
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.jobs import WorkerReport
from new_stack.worker.attempt import Stop
from new_stack.worker.hands import Hands
from new_stack.worker.log import EventLog
from new_stack.worker.outage import Outage
from new_stack.worker.roster import Roster
from new_stack.worker.settings import WorkerSettings


async def every(interval_ms: int, act: Callable[[], Awaitable[None]], *, outage: Outage, chance: random.Random) -> None:
    """Act now and then on a jittered beat, for ever; while Redis is away, at the outage's pace."""
    while True:
        try:
            await act()
        except QueueUnavailable as error:
            outage.noticed(error)
            await outage.pause()
        else:
            await asyncio.sleep(interval_ms / 1000 * (0.9 + 0.2 * chance.random()))


class Heartbeat:
    """Says that the worker is alive and keeps its leases; stops what was cancelled or lost."""

    def __init__(self, settings: WorkerSettings, queue: Queue, hands: Hands, roster: Roster, outage: Outage) -> None:
        self._settings = settings
        self._queue = queue
        self._hands = hands
        self._roster = roster
        self._outage = outage
        self._host = socket.gethostname()
        self._pid = os.getpid()

    async def beat(self) -> None:
        """Renew first: after an outage, each lease renewed is a job that need not run again."""
        leases = self._hands.leases
        if leases:
            states = await self._queue.renew(leases)
            for lease, state in zip(leases, states, strict=True):
                if state is not LeaseState.HELD:
                    reason = Stop.CANCELLED if state is LeaseState.CANCELLED else Stop.LEASE_LOST
                    self._hands.stop(lease.job_id, lease.attempt, reason)
        await self._queue.heartbeat(self._report())
        self._outage.over()

    def _report(self) -> WorkerReport:
        running = tuple(lease.job_id for lease in self._hands.leases)
        working = "busy" if running else "idle"
        return WorkerReport(
            worker_id=self._settings.worker_id,
            status="stopping" if self._hands.closed else working,
            concurrency=self._settings.max_concurrent_jobs,
            running=running,
            connectors=self._roster.names,
            services=self._roster.services,
            version=__version__,
            host=self._host,
            pid=self._pid,
        )


class Poll:
    """The safety net under the wake-ups: work that stands in the line while this worker waits for some."""

    def __init__(self, queue: Queue, listener: WorkListener, hands: Hands, log: EventLog) -> None:
        self._queue = queue
        self._listener = listener
        self._hands = hands
        self._log = log

    async def look(self) -> None:
        """Look, which also wakes those who should be awake; where that did not wake us, listen anew."""
        if not self._listener.waiting:
            return
        seen = await self._queue.look()
        if seen.reaped:
            self._log.warning("leases_expired", job_ids=seen.reaped)
        if seen.pending and not await self._listener.woken(UNWOKEN_S):
            self._listener.break_off()


class Sweeper:
    """Forgets what is past: ended jobs that have expired, workers long gone. Any number may do so at once."""

    def __init__(self, queue: Queue, log: EventLog) -> None:
        self._queue = queue
        self._log = log

    async def sweep(self) -> None:
        """One round; it reaps as well, for workers that are all busy."""
        reaped = await self._queue.reap()
        if reaped:
            self._log.warning("leases_expired", job_ids=reaped)
