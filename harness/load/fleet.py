"""The fleet: worker processes that are started, measured, watched, killed and started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Sequence

import msgspec
import psutil

from harness.load.latencies import Distribution, Histogram
from harness.processes import Launch, Process, Processes

AT_ONCE = 2 * (os.cpu_count() or 1)
"""Starts under way at once: more would only measure how they hinder each other."""
WATCH_S = 0.5


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that ended, by our hand or its own. Seconds since the epoch."""

    worker: str
    at: float
    ours: bool
    back_after_s: float | None
    """Until its successor was ready; None where it did not come back."""
    status: int | None = None


class FleetResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the fleet cost and went through."""

    size: int
    alive: int
    """At the end of the load."""
    started_s: float
    """Until all were ready."""
    start_ms: Distribution | None
    """Each worker from its start until it was ready, so many at once as there are twice the cores."""
    start_cpu_ms: Distribution | None
    """Processor time of each until it was ready."""
    deaths: list[Death]


class Fleet:
    """Workers by launch; each is one process. `watch` brings back those that end on their own."""

    def __init__(
        self, processes: Processes, launches: Sequence[Launch], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._processes = processes
        self._launches = list(launches)
        self._clock = clock
        self._start = Histogram()
        self._start_cpu = Histogram()
        self._started_s = 0.0
        self._held: set[str] = set()
        """Workers that are being killed and brought back: the watch leaves them alone."""
        self.workers: list[Process] = []
        self.deaths: list[Death] = []

    async def start(self) -> None:
        """Start all and wait until each is ready. Raises EnvironmentFailure."""
        began = time.monotonic()
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._start_one(launch, slots)) for launch in self._launches]
        self.workers = [task.result() for task in tasks]
        self._started_s = time.monotonic() - began

    async def watch(self) -> None:
        """For as long as it runs: note who ended on its own, and start it again."""
        while True:
            await asyncio.sleep(WATCH_S)
            for worker in self.workers:
                if worker.expected_to_live and not worker.alive and worker.name not in self._held:
                    await self._bring_back(worker, self._clock(), ours=False)

    async def kill(
        self, count: int, *, chance: random.Random, how: signal.Signals = signal.SIGKILL, restart: bool = True
    ) -> list[str]:
        """End that many workers (SIGKILL or SIGTERM), chosen by chance, start them again, and say who they were."""
        alive = [worker for worker in self.workers if worker.alive and worker.name not in self._held]
        chosen = chance.sample(alive, min(count, len(alive)))
        self._held |= {worker.name for worker in chosen}
        times = {}
        for worker in chosen:
            times[worker.name] = self._clock()
            if how is signal.SIGTERM:
                worker.terminate()
            else:
                worker.kill()
        async with asyncio.TaskGroup() as group:
            for worker in chosen:
                group.create_task(self._replace(worker, times[worker.name], restart=restart))
        return [worker.name for worker in chosen]

    def result(self) -> FleetResult:
        """What there is to say of it now."""
        started = self._start.count > 0
        return FleetResult(
            size=len(self._launches),
            alive=sum(1 for worker in self.workers if worker.alive),
            started_s=round(self._started_s, 3),
            start_ms=self._start.distribution() if started else None,
            start_cpu_ms=self._start_cpu.distribution() if started else None,
            deaths=list(self.deaths),
        )

    async def stop(self) -> None:
        """SIGTERM for all; SIGKILL for those that do not mind it."""
        for worker in self.workers:
            worker.terminate()
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in self.workers))

    async def _start_one(self, launch: Launch, slots: asyncio.Semaphore) -> Process:
        async with slots:
            began = time.monotonic()
            worker = await self._processes.astart(launch)
            self._start.record(time.monotonic() - began)
            spent = psutil.Process(worker.pid).cpu_times()
            self._start_cpu.record(spent.user + spent.system)
            return worker

    async def _replace(self, worker: Process, at: float, *, restart: bool) -> None:
        await asyncio.to_thread(worker.stop)
        if restart:
            await self._bring_back(worker, at, ours=True)
        else:
            self.deaths.append(Death(worker=worker.name, at=at, ours=True, back_after_s=None, status=worker.returncode))

    async def _bring_back(self, worker: Process, at: float, *, ours: bool) -> None:
        self._held.add(worker.name)
        status = worker.returncode
        try:
            await worker.arestart()
        finally:
            self._held.discard(worker.name)
            back = self._clock() - at if worker.alive else None
            self.deaths.append(Death(worker=worker.name, at=at, ours=ours, back_after_s=back, status=status))
