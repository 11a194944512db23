"""What every route and every connection works with, built once per process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from new_stack.api.guard.limits import ByteBudget, ConnectionLimiter
from new_stack.api.operation.metrics import Metrics
from new_stack.api.retirement.in_flight import InFlight
from new_stack.api.retirement.retirement import Retirement
from new_stack.api.retirement.usage import UsageCounter
from new_stack.api.settings import ApiSettings
from new_stack.api.snapshot import Snapshots
from new_stack.api.streaming.fanout import FanOut, Published
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.events import Event
from new_stack.queue.jobs import Job
from new_stack.queue.queue import Queue

LARGE_RESULTS: Final = 8
"""How many results that do not travel with their events are on their way to readers at once."""


class Connections:
    """The long-lived connections of this process, by role and name: what stats and metrics show of them."""

    def __init__(self) -> None:
        self._names: dict[str, Counter[str]] = {"sse": Counter(), "client": Counter(), "monitor": Counter()}

    @contextmanager
    def counted(self, role: str, name: str = "") -> Iterator[None]:
        """Count one connection of a role (sse, client, monitor) under its name."""
        names = self._names[role]
        names[name] += 1
        try:
            yield
        finally:
            names[name] -= 1
            if not names[name]:
                del names[name]

    def shown(self) -> dict[str, list[str]]:
        """The names of clients and monitors, as the hub's stats show them."""
        return {f"{role}s": list(self._names[role]) for role in ("client", "monitor")}

    def counts(self) -> dict[str, int]:
        """How many connections there are, by role."""
        return {role: names.total() for role, names in self._names.items()}


class Services:
    """The queue, the fan-out and the settings, with a clock and ids that tests may own."""

    def __init__(
        self,
        queue: Queue,
        settings: ApiSettings,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.queue = queue
        self.settings = settings
        self.clock = clock
        self.new_id = new_id
        self.fanout = FanOut(settings.subscriber_queue)
        self.bodies = ByteBudget(settings.bodies_limit)
        self.limiter = ConnectionLimiter(settings.connections_per_address)
        self.connections = Connections()
        self.metrics = Metrics()
        self.usage = UsageCounter(queue.usage, clock)
        self.retirement = Retirement(settings, self.usage, InFlight(queue, self.fanout), clock)
        self.snapshots = Snapshots(queue)
        self.stopping = asyncio.Event()
        self.failed = False
        """Whether it stops because some of its background work has failed."""
        self._redis_ahead_ms = 0
        self.large_results = asyncio.Semaphore(LARGE_RESULTS)
        self._large: WeakValueDictionary[str, Published] = WeakValueDictionary()

    def redis_time_ms(self) -> int:
        """Redis's clock as this process knows it: all times of jobs are by that one."""
        return int(self.clock() * 1000) + self._redis_ahead_ms

    async def compare_clocks(self) -> None:
        """Look how far Redis's clock is ahead of this process's."""
        self._redis_ahead_ms = await self.queue.time_ms() - int(self.clock() * 1000)

    def published(self, event: Event) -> Published:
        """An event of a history. Readers of a large result share it while one of them holds it."""
        item = Published(event)
        return self._large.setdefault(event.id, item) if event.result_omitted else item

    async def with_result(self, event: Event) -> Event:
        """The event with its result, which was too large to travel with it; waits while Redis is away."""
        while event.result_omitted:
            try:
                job = await self.queue.job(event.job_id)
            except QueueUnavailable:
                await asyncio.sleep(1.0)
                continue
            result = None if job is None else job.result
            event = msgspec.structs.replace(event, result=result, result_omitted=False)
        return event

    async def job_once_ended(self, job_id: str) -> Job | None:
        """A job: with its payload and result where it has ended, else without large ones, which nobody asked for."""
        job = await self.queue.job(job_id, bodies=False)
        return await self.queue.job(job_id) if job is not None and job.state.ended else job


SERVICES: Final = web.AppKey("services", Services)
