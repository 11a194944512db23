"""What every route and every connection works with, built once per process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from new_stack.api.guard.limits import ByteBudget, ConnectionLimiter
from new_stack.api.operation.metrics import Metrics
from new_stack.api.operation.redis_clock import RedisClock
from new_stack.api.retirement.in_flight import InFlight
from new_stack.api.retirement.retirement import Retirement
from new_stack.api.retirement.usage import UsageCounter
from new_stack.api.settings import ApiSettings
from new_stack.api.snapshot import Snapshots
from new_stack.api.sse.large_results import LargeResults
from new_stack.api.streaming.fanout import FanOut
from new_stack.queue.jobs import Job
from new_stack.queue.queue import Queue


class Connections:
    """The long-lived connections of this process, by role and name: what stats and metrics show of them."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {"sse": [], "client": [], "monitor": []}

    @contextmanager
    def counted(self, role: str, name: str = "") -> Iterator[None]:
        """Count one connection of a role (sse, client, monitor) under its name."""
        self._names[role].append(name)
        try:
            yield
        finally:
            self._names[role].remove(name)

    def shown(self) -> dict[str, list[str]]:
        """The names of clients and monitors, as the hub's stats show them."""
        return {f"{role}s": list(dict.fromkeys(self._names[role])) for role in ("client", "monitor")}

    def counts(self) -> dict[str, int]:
        """How many connections there are, by role."""
        return {role: len(names) for role, names in self._names.items()}


class Services:
    """The queue, the fan-out and the settings, with a clock that tests may replace."""

    def __init__(self, queue: Queue, settings: ApiSettings) -> None:
        self.queue = queue
        self.settings = settings
        self.clock = time.time
        self.fanout = FanOut(settings.subscriber_queue)
        self.connections = Connections()
        self.snapshots = Snapshots(queue)
        self.bodies = ByteBudget(settings.bodies_limit)
        self.limiter = ConnectionLimiter(settings)
        self.metrics = Metrics()
        self.usage = UsageCounter(queue.usage, self.clock)
        self.retirement = Retirement(settings, self.usage, InFlight(queue, self.fanout), self.clock)
        self.redis_clock = RedisClock(queue, self.clock)
        self.large_results = LargeResults()
        self.stopping = asyncio.Event()
        self.failed = False
        """Whether it stops because some of its background work has failed."""

    def new_id(self) -> str:
        """An id that nobody else has."""
        return str(uuid.uuid4())

    async def job_once_ended(self, job_id: str) -> Job | None:
        """A job: with its payload and result where it has ended, else without large ones, which nobody asked for."""
        job = await self.queue.job(job_id, bodies=False)
        return await self.queue.job(job_id) if job is not None and job.state.ended else job


SERVICES: Final = web.AppKey("services", Services)
