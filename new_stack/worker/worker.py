"""`Worker`: claims as many jobs as it has room for, renews its leases, and stops in order."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from new_stack.log import EventLog
from new_stack.queue import Queue, QueueUnavailable
from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.cancellations import await_cancellation
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.context import WorkerContext
from new_stack.worker.heartbeat import Heartbeat
from new_stack.worker.job_fetcher import JobFetcher
from new_stack.worker.leaving import leave
from new_stack.worker.polling import poll, reap
from new_stack.worker.running_jobs import RunningJobs
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.unique_name import ensure_unique_name


class Worker:
    """One worker on one queue. `run` returns once `stop` was called and all is handed over."""

    def __init__(
        self,
        settings: WorkerSettings,
        queue: Queue,
        connectors: ConnectorRegistry,
        log: EventLog,
        *,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()  # noqa: S311 - jitter needs no secrecy
        self._context = context = WorkerContext(settings, queue, connectors, log, chance)
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._running = RunningJobs(context)
        self._acknowledger = Acknowledger(context, self._running)
        self._running.on_end = self._acknowledger.end
        self._fetcher = JobFetcher(context, self._running, unsure=self._acknowledger.unsure)
        self._heartbeat = Heartbeat(context, self._running, self._acknowledger)

    def stop(self) -> None:
        """Take no more, let what runs finish within the grace period, hand back the rest. Called again: hurry."""
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()
        self._running.places.closed = True

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
                fetching = group.create_task(forever(self._fetcher.fetch))
                steps = (
                    self._acknowledger.acknowledge,
                    partial(await_cancellation, context, self._running),
                    partial(poll, context, self._fetcher, self._heartbeat),
                    partial(reap, context, self._fetcher, self._heartbeat.reaping),
                )
                loops = [group.create_task(forever(step)) for step in steps]
                await self._stopping.wait()
                fetching.cancel()
                left = await leave(context, self._running, self._acknowledger, heartbeat, self._hurried)
                for loop in loops:
                    loop.cancel()
        finally:
            for attempt in self._running.attempts:
                attempt.drop()
            await context.connectors.close()
        return left

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
                self._heartbeat.delivered()
                concurrency = settings.max_concurrent_jobs
                context.log.info("worker_ready", connectors=context.connectors.names, concurrency=concurrency)
                return True
        return False
