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
from new_stack.worker.hands import Hands
from new_stack.worker.listener import WorkListener
from new_stack.worker.station import Station

UNWOKEN_S: Final = 0.05
"""How long after a look that found work the wake-up may take."""


class Pulse:
    """Says that the worker is alive, keeps its leases, and looks at the line while the worker waits for work."""

    def __init__(self, station: Station, hands: Hands, listener: WorkListener) -> None:
        self._station = station
        self._hands = hands
        self._listener = listener

    async def run(self) -> None:
        """Beat and look for ever, each at its own interval; while Redis is away, at the outage's pace."""
        clock = asyncio.get_running_loop().time
        beat_at = look_at = clock()
        while True:
            now = clock()
            look = now >= look_at
            # A heartbeat that is nearly due travels with the look: one call instead of two.
            beat = now >= beat_at - (self._station.settings.poll_interval_ms / 1000 if look else 0)
            try:
                await self._tick(beat=beat, look=look)
            except QueueUnavailable as error:
                self._station.outage.noticed(error)
                await self._station.outage.pause()
                beat_at = look_at = clock()
                continue
            if beat:
                beat_at = now + self._jittered(self._station.settings.heartbeat_interval_ms)
            if look:
                look_at = now + self._jittered(self._station.settings.poll_interval_ms)
            await asyncio.sleep(max(0.0, min(beat_at, look_at) - clock()))

    async def _tick(self, *, beat: bool, look: bool) -> None:
        if beat:
            await self._renew()
        if look and self._listener.waiting:
            await self._look(self.report() if beat else None)
        elif beat:
            await self._station.queue.heartbeat(self.report())
        else:
            return
        self._station.outage.over()

    async def _renew(self) -> None:
        """Before all else: after an outage, each lease renewed is a job that need not run again."""
        leases = self._hands.leases
        for lease, state in zip(leases, await self._station.queue.renew(leases), strict=True):
            if state is not LeaseState.HELD:
                reason = Stop.CANCELLED if state is LeaseState.CANCELLED else Stop.LEASE_LOST
                self._hands.stop(lease.job_id, lease.attempt, reason)

    async def _look(self, report: WorkerReport | None) -> None:
        """The safety net under the wake-ups: where there is work and this did not wake us, go and claim."""
        seen = await self._station.queue.poll(self._station.worker_id, report)
        if seen.reaped:
            self._station.log.warning("leases_expired", job_ids=seen.reaped)
        if seen.pending and not await self._listener.woken(UNWOKEN_S):
            await self._station.queue.end_wait(self._station.worker_id)

    def report(self) -> WorkerReport:
        """What the worker says of itself."""
        running = tuple(lease.job_id for lease in self._hands.leases)
        working = "busy" if running else "idle"
        return WorkerReport(
            worker_id=self._station.worker_id,
            status="stopping" if self._hands.closed else working,
            concurrency=self._station.settings.max_concurrent_jobs,
            running=running,
            connectors=self._station.roster.names,
            services=self._station.roster.services,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    def _jittered(self, interval_ms: int) -> float:
        return interval_ms / 1000 * (0.9 + 0.2 * self._station.chance.random())


async def sweep(station: Station) -> None:
    """Forget what is past (ended jobs that have expired, workers long gone) now and then, for ever.

    It reaps as well, for workers that are all busy. Any number of processes may do so at once.
    """
    while True:
        await asyncio.sleep(station.settings.reap_interval_ms / 1000 * (0.75 + 0.5 * station.chance.random()))
        try:
            reaped = await station.queue.reap()
        except QueueUnavailable as error:
            station.outage.noticed(error)
        else:
            if reaped:
                station.log.warning("leases_expired", job_ids=reaped)
