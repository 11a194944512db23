"""`Worker`: takes what it has room for, keeps its leases, and leaves in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from new_stack.queue import Queue, Signal
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.jobs import End
from new_stack.worker.attempt import Stop
from new_stack.worker.hands import Hands
from new_stack.worker.listener import WorkListener
from new_stack.worker.log import EventLog
from new_stack.worker.outage import Outage
from new_stack.worker.pulse import Pulse, sweep
from new_stack.worker.roster import Roster
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.signals import listen_for_signals
from new_stack.worker.station import Station
from new_stack.worker.turnover import Turnover

LAST_WORDS_S: Final = 5.0
"""How long a leaving worker tries to tell the queue its last ends."""
HURRIED_WORDS_S: Final = 1.0
"""The same for one that was told twice to stop."""


class Worker:
    """One worker on one queue. `run` returns once `stop` was called and all is handed over."""

    def __init__(
        self,
        settings: WorkerSettings,
        queue: Queue,
        roster: Roster,
        log: EventLog,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()  # noqa: S311 - jitter needs no secrecy
        outage = Outage(log, now=now, chance=chance)
        self._station = station = Station(settings, queue, roster, outage, log, chance)
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._hands = Hands(station, self._job_ended)
        self._turnover = Turnover(station, self._hands)
        self._listener = WorkListener(station, self._hands, signalled=self._signalled, unsure=self._turnover.unsure)
        self._pulse = Pulse(station, self._hands, self._listener)

    def stop(self) -> None:
        """Take no more, let what runs finish within the grace period, hand back the rest. Called again: hurry."""
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()
        self._hands.close()
        self._listener.break_off()

    async def run(self) -> int:
        """Work until stopped. Answers how many jobs could not be handed over: their leases will run out.

        Raises ConnectorUnusable where a connector cannot be opened.
        """
        await self._station.roster.open()
        try:
            await self._register()
            async with asyncio.TaskGroup() as group:
                loops = [group.create_task(loop) for loop in self._loops()]
                await self._stopping.wait()
                left = await self._leave()
                for loop in loops:
                    loop.cancel()
        finally:
            self._hands.drop_all()
            await self._station.roster.close()
        return left

    async def _register(self) -> None:
        """Be known before anything is claimed."""
        station = self._station
        while not self._stopping.is_set():
            try:
                await station.queue.heartbeat(self._pulse.report())
            except QueueUnavailable as error:
                station.outage.noticed(error)
                await station.outage.pause()
            else:
                station.outage.over()
                concurrency = station.settings.max_concurrent_jobs
                station.log.info("worker_ready", connectors=station.roster.names, concurrency=concurrency)
                return

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._turnover.run(),
            self._listener.run(),
            listen_for_signals(self._station, self._signalled),
            self._pulse.run(),
            sweep(self._station),
        ]

    def _job_ended(self, end: End | None) -> None:
        self._turnover.end(end)

    def _signalled(self, signal: Signal) -> None:
        self._hands.stop(signal.job_id, signal.attempt, Stop.CANCELLED)

    async def _leave(self) -> int:
        running = len(self._hands.leases)
        self._station.log.info("worker_stopping", running=running)
        await self._unhurried(self._hands.until_empty(), self._station.settings.shutdown_grace_ms / 1000)
        handed_back = len(self._hands.leases)
        self._hands.stop_all(Stop.SHUTDOWN)
        await self._unhurried(self._hands.until_empty(), self._station.settings.stop_grace_ms / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HURRIED_WORDS_S):
                await self._hands.until_empty()
        self._hands.leave_all_behind()
        with contextlib.suppress(TimeoutError, QueueUnavailable):
            async with asyncio.timeout(HURRIED_WORDS_S if self._hurried.is_set() else LAST_WORDS_S):
                await self._turnover.until_settled()
                await self._station.queue.unregister(self._station.worker_id)
        left = len(self._hands.leases) + self._turnover.waiting
        self._station.log.info("worker_stopped", handed_back=handed_back, left=left)
        return left

    async def _unhurried(self, moment: Awaitable[None], within_s: float) -> None:
        """Wait for something, so long and no longer, and only while nobody hurries us."""
        waits = [asyncio.ensure_future(moment), asyncio.ensure_future(self._hurried.wait())]
        try:
            await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
