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
from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.attempt import Stop
from new_stack.worker.cancellations import watch_for_cancellations
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.context import WorkerContext
from new_stack.worker.heartbeat import Heartbeat, reap_loop
from new_stack.worker.job_fetcher import JobFetcher
from new_stack.worker.log import EventLog
from new_stack.worker.outage import Outage
from new_stack.worker.running_jobs import RunningJobs
from new_stack.worker.settings import WorkerSettings

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
        connectors: ConnectorRegistry,
        log: EventLog,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()  # noqa: S311 - jitter needs no secrecy
        outage = Outage(log, now=now, chance=chance)
        self._context = context = WorkerContext(settings, queue, connectors, outage, log, chance)
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._running = RunningJobs(context, self._job_ended)
        self._acknowledger = Acknowledger(context, self._running)
        self._fetcher = JobFetcher(context, self._running, signalled=self._signalled, unsure=self._acknowledger.unsure)
        self._heartbeat = Heartbeat(context, self._running, self._fetcher)

    def stop(self) -> None:
        """Take no more, let what runs finish within the grace period, hand back the rest. Called again: hurry."""
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()
        self._running.close()
        self._fetcher.break_off()

    async def run(self) -> int:
        """Work until stopped. Answers how many jobs could not be handed over: their leases will run out.

        Raises ConnectorUnusable where a connector cannot be opened.
        """
        await self._context.connectors.open()
        try:
            await self._register()
            async with asyncio.TaskGroup() as group:
                loops = [group.create_task(loop) for loop in self._loops()]
                await self._stopping.wait()
                left = await self._leave()
                for loop in loops:
                    loop.cancel()
        finally:
            self._running.drop_all()
            await self._context.connectors.close()
        return left

    async def _register(self) -> None:
        """Be known before anything is claimed."""
        context = self._context
        while not self._stopping.is_set():
            try:
                await context.queue.heartbeat(self._heartbeat.report())
            except QueueUnavailable as error:
                context.outage.noticed(error)
                await context.outage.pause()
            else:
                context.outage.over()
                concurrency = context.settings.max_concurrent_jobs
                context.log.info("worker_ready", connectors=context.connectors.names, concurrency=concurrency)
                return

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._acknowledger.run(),
            self._fetcher.run(),
            watch_for_cancellations(self._context, self._signalled),
            self._heartbeat.run(),
            reap_loop(self._context),
        ]

    def _job_ended(self, end: End | None) -> None:
        self._acknowledger.end(end)

    def _signalled(self, signal: Signal) -> None:
        self._running.stop(signal.job_id, signal.attempt, Stop.CANCELLED)

    async def _leave(self) -> int:
        running = len(self._running.leases)
        self._context.log.info("worker_stopping", running=running)
        await self._unhurried(self._running.until_empty(), self._context.settings.shutdown_grace_ms / 1000)
        handed_back = len(self._running.leases)
        self._running.stop_all(Stop.SHUTDOWN)
        await self._unhurried(self._running.until_empty(), self._context.settings.stop_grace_ms / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HURRIED_WORDS_S):
                await self._running.until_empty()
        self._running.leave_all_behind()
        with contextlib.suppress(TimeoutError, QueueUnavailable):
            async with asyncio.timeout(HURRIED_WORDS_S if self._hurried.is_set() else LAST_WORDS_S):
                await self._acknowledger.until_settled()
                await self._context.queue.unregister(self._context.worker_id)
        left = len(self._running.leases) + self._acknowledger.waiting
        self._context.log.info("worker_stopped", handed_back=handed_back, left=left)
        return left

    async def _unhurried(self, moment: Awaitable[None], within_s: float) -> None:
        """Wait for something, so long and no longer, and only while nobody hurries us."""
        waits = [asyncio.ensure_future(moment), asyncio.ensure_future(self._hurried.wait())]
        try:
            await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
