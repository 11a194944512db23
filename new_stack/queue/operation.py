"""What those who run the queue look at, and what they may stop for a while."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from new_stack.queue.decoding import counts_of
from new_stack.queue.explanation import WORKERS_LIMIT, Explanation, explanation_of
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.producer import check_changed
from new_stack.queue.timeseries import Range, Read, TimeSeries, slots_of, timeseries_of

SLOTS_PAGE: Final = 240
"""How many slots of a time series one call brings back."""

SERVICES_SHOWN: Final = 200
LEASES_SHOWN: Final = 20
ABOUT_TO_EXPIRE: Final = 0.3
"""What is left of a lease that is about to expire, as a share of its term: a worker renews it at half of it."""


class ServiceLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one service."""

    service: str
    waiting: int
    """Its ready jobs."""
    oldest_at: int | None
    """When the oldest of them was submitted."""
    workers: int
    """Live workers that serve it and take jobs."""


class LeaseAtRisk(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that runs out soon: its worker has been silent for too long."""

    job_id: str
    worker_id: str
    service: str
    expires_at: int


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Redis's memory, in bytes; a limit of 0 is none."""

    used_bytes: int
    peak_bytes: int
    limit_bytes: int


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands at one moment, in ms since the epoch by Redis's clock."""

    at: int
    services: list[ServiceLoad]
    about_to_expire: list[LeaseAtRisk]
    memory: Memory


class Operator:
    """Looks at the queue over time and as a whole; pauses services, drains workers and drops what has ended."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller

    async def time_ms(self) -> int:
        """Redis's clock, in ms since the epoch."""
        seconds, microseconds = await self._caller.connection.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def ping(self) -> None:
        """Ask whether Redis answers. Raises QueueUnavailable."""
        await self._caller.connection.call("PING")

    async def check_writable(self) -> float:
        """How many ms a submission of no job takes. Raises QueueUnavailable where none could be stored, and why."""
        began = time.perf_counter()
        await self._caller.write("submit", 0)
        return (time.perf_counter() - began) * 1000

    async def explain(self, job_id: str) -> Explanation | None:
        """Why a job waits: who could take it, and who cannot and why not; None where there is no such job."""
        return explanation_of(await self._caller.read("explain", job_id, WORKERS_LIMIT))

    async def drop(self, job_id: str) -> None:
        """Forget an ended job now. Raises JobNotFound, InvalidTransition (it has not ended)."""
        check_changed(job_id, "dropped", await self._caller.commit("drop", job_id))

    async def timeseries(
        self, wanted: Range, *, until_ms: int | None = None, by_service: bool = False, service: str = ""
    ) -> TimeSeries:
        """What happened in a range that ends at that time (now): of each service, or of all (or one) together."""
        now_ms = await self.time_ms()
        numbers = slots_of(wanted, now_ms if until_ms is None else min(until_ms, now_ms))
        read = Read(wanted=wanted, numbers=numbers)
        if now_ms // 1000 // wanted.seconds in numbers:
            read.waiting = counts_of(await self._caller.read("count")).by_service
        for behind in range(numbers.stop, numbers.start, -SLOTS_PAGE):  # the newest first: older ones change no more
            page = range(max(numbers.start, behind - SLOTS_PAGE), behind)
            newest = "1" if behind == numbers.stop else ""
            slots, tallies = await self._caller.read("timeseries", wanted.seconds, page[0], page[-1], newest)
            read.slots += zip(page, slots, strict=True)
            read.tallies += tallies
        return await asyncio.to_thread(timeseries_of, read, by_service=by_service, service=service)

    async def load(self) -> Load:
        """What waits for whom, which leases are about to expire, and how full Redis is."""
        risk_ms = int(ABOUT_TO_EXPIRE * self._caller.settings.lease_ms)
        about, memory = await asyncio.gather(
            self._caller.read("overview", SERVICES_SHOWN, risk_ms, LEASES_SHOWN),
            self._caller.connection.call("INFO", "memory"),
        )
        at, services, leases = about
        facts = dict(line.split(":", 1) for line in memory.decode().splitlines() if ":" in line)
        return Load(
            at=at,
            services=[
                ServiceLoad(service=name.decode(), waiting=waiting, oldest_at=oldest or None, workers=workers)
                for name, waiting, oldest, workers in services
            ],
            about_to_expire=[
                LeaseAtRisk(
                    job_id=job_id.decode(), worker_id=worker.decode(), service=service.decode(), expires_at=int(expires)
                )
                for job_id, worker, service, expires in leases
            ],
            memory=Memory(
                used_bytes=int(facts["used_memory"]),
                peak_bytes=int(facts["used_memory_peak"]),
                limit_bytes=int(facts["maxmemory"]),
            ),
        )

    async def pause_service(self, service: str) -> int | None:
        """Let nobody claim its jobs; those that run go on. Answers since when, in ms."""
        return await self._pause("service", service, wanted=True)

    async def resume_service(self, service: str) -> int | None:
        """Let its jobs be claimed again."""
        return await self._pause("service", service, wanted=False)

    async def drain_worker(self, worker_id: str) -> int | None:
        """Let a worker claim nothing more; what it has goes on. Answers since when, in ms. Raises KeyError."""
        return await self._pause("worker", worker_id, wanted=True)

    async def resume_worker(self, worker_id: str) -> int | None:
        """Let a worker claim again. Raises KeyError where none is known by that name."""
        return await self._pause("worker", worker_id, wanted=False)

    async def _pause(self, kind: str, name: str, *, wanted: bool) -> int | None:
        since = await self._caller.write("pause", kind, name, "1" if wanted else "")
        if since == b"missing":
            raise KeyError(name)
        return int(since) if since else None
