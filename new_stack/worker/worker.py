"""`Worker`: claims as many jobs as it has room for, renews its leases, and stops in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final

from new_stack.log import EventLog
from new_stack.queue import Queue, QueueError, QueueUnavailable
from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.attempt import Stop
from new_stack.worker.cancellations import await_cancellation
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.context import WorkerContext
from new_stack.worker.heartbeat import Heartbeat
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.unique_name import ensure_unique_name

LAST_ENDS_S: Final = 5.0
"""How long a leaving worker tries to deliver its last ends."""
HURRIED_S: Final = 1.0
"""The same for one that was told twice to stop."""


class Worker:
    """One worker on one queue. `run` returns once `stop` was called and all is handed over."""

    def __init__(self, settings: WorkerSettings, queue: Queue, connectors: ConnectorRegistry, log: EventLog) -> None:
        self._context = context = WorkerContext(settings, queue, connectors, log)
        self._stopping = asyncio.Event()
        self._hurried = False
        self._handed_back: set[str] = set()
        self._acknowledger = Acknowledger(context)
        self._running = self._acknowledger.running
        self._heartbeat = Heartbeat(context, self._acknowledger)

    def stop(self) -> None:
        """Take no more, let what runs finish within the grace period, hand back the rest. Called again: hurry."""
        if self._stopping.is_set():
            self._hurried = True
            self._hand_back(HURRIED_S)
        self._stopping.set()
        self._running.closed = True

    async def run(self) -> int:
        """Work until stopped. Answers how many jobs could not be handed over: their leases will run out.

        Raises ConnectorUnusable where a connector cannot be opened, SettingsError where it tells too much of itself.
        """
        context = self._context
        await context.connectors.open()
        try:
            context.tell()
            if not await self._register():
                return 0
            async with asyncio.TaskGroup() as group:
                forever = context.redis_backoff.forever
                heartbeat = group.create_task(self._heartbeat.run())
                fetching = group.create_task(forever(self._acknowledger.fetch))
                cancelling = partial(await_cancellation, context, self._running)
                loops = [group.create_task(forever(step)) for step in (self._acknowledger.acknowledge, cancelling)]
                await self._stopping.wait()
                fetching.cancel()
                left = await self._leave(heartbeat)
                for loop in loops:
                    loop.cancel()
        finally:
            for attempt in self._running.attempts:
                attempt.task.cancel()  # nobody hears of its end any more: its lease will run out
            await context.connectors.close()
        return left

    async def _leave(self, heartbeat: asyncio.Task[None]) -> int:
        """Let what runs finish, hand back the rest and be forgotten. Answers how many jobs could not be handed over."""
        context, running = self._context, self._running
        context.log.info("worker_stopping", running=len(running.leases))
        with suppress(TimeoutError):
            async with asyncio.timeout(context.settings.shutdown_grace_ms / 1000):
                await running.until_empty()
        self._hand_back(context.settings.stop_grace_ms / 1000 + HURRIED_S)
        await running.until_empty()
        with suppress(TimeoutError, QueueError):
            async with asyncio.timeout(HURRIED_S if self._hurried else LAST_ENDS_S):
                await self._acknowledger.until_settled()
                heartbeat.cancel()  # before the worker is forgotten: a heartbeat would make it known again
                await asyncio.wait([heartbeat])
                await context.queue.unregister(context.worker_id)
        heartbeat.cancel()
        left = len(running.leases) + len(self._acknowledger.leases)
        context.log.info("worker_stopped", handed_back=len(self._handed_back), left=left)
        return left

    def _hand_back(self, within_s: float) -> None:
        """Stop what runs; what has not given way by then ends without its connector."""
        for attempt in self._running.attempts:
            self._handed_back.add(attempt.lease.job_id)
            attempt.stop(Stop.SHUTDOWN)
            asyncio.get_running_loop().call_later(within_s, attempt.abandon)

    async def _register(self) -> bool:
        """Say that the worker is there, under a name that is its own, before anything is claimed; false where stopped.

        Waits a while for Redis. Raises QueueError where it cannot be used, SettingsError where the name is taken.
        """
        context, loop = self._context, asyncio.get_running_loop()
        settings, queue = context.settings, context.queue
        give_up_at = loop.time() + settings.connect_timeout_ms / 1000
        while not self._stopping.is_set():
            try:
                await queue.start()
                await ensure_unique_name(queue, context.worker_id, heartbeat_ttl_ms=settings.queue.heartbeat_ttl_ms)
                await queue.heartbeat(self._heartbeat.report())
            except QueueUnavailable as error:
                if loop.time() >= give_up_at:
                    raise
                context.redis_backoff.failed(error)
                await context.redis_backoff.pause()
            else:
                context.redis_backoff.succeeded()
                concurrency = settings.max_concurrent_jobs
                context.log.info("worker_ready", connectors=context.connectors.names, concurrency=concurrency)
                return True
        return False
