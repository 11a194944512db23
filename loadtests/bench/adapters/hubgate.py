"""hubgate's queue under its own workers: leases, events, heartbeats, priorities and reaping on, all at defaults."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import uvloop

from loadtests.bench.starts import Starts
from new_stack.queue import NewJob, Queue, QueueSettings
from new_stack.worker import (
    Connector,
    ConnectorRegistry,
    ConnectorSettings,
    EventLog,
    JobContext,
    Worker,
    WorkerSettings,
)
from new_stack.worker.connector_registry import ConnectorSpec

SHAPE = "4 processes of 10"
PROCESSES = 4


class Bench(Connector):
    """Notes the start of a job; a job that says so holds its worker for that long."""

    def __init__(self, starts: Starts) -> None:
        super().__init__(ConnectorSettings())
        self._starts = starts

    async def run(self, job: JobContext) -> Any:
        """Run one job."""
        self._starts.mark(job.job_id)
        hold = job.payload.get("hold_s")
        if hold and job.attempt == 1:
            await asyncio.sleep(hold)


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""

    async def main() -> None:
        settings = WorkerSettings(
            worker_id=f"bench-{os.getpid()}", max_concurrent_jobs=10, queue=QueueSettings(redis_url=url)
        )
        spec = ConnectorSpec(name="bench")
        queue = await Queue.connect(settings.queue)
        connectors = ConnectorRegistry([(spec, Bench(starts))])
        await Worker(settings, queue, connectors, EventLog(worker_id=settings.worker_id)).run()

    uvloop.run(main())


async def submit_paced(url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission returned."""
    queue = await Queue.connect(QueueSettings(redis_url=url))
    returned = []
    due = time.monotonic()
    for _ in range(count):
        due += every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        said = await queue.submit(NewJob(service_required="bench"))
        returned.append((said.job_id, time.monotonic()))
    await queue.close()
    return returned


async def submit_each(url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    queue = await Queue.connect(QueueSettings(redis_url=url))
    began = time.monotonic()
    for _ in range(count):
        await queue.submit(NewJob(service_required="bench"))
    took = time.monotonic() - began
    await queue.close()
    return took


async def submit_bulk(url: str, count: int) -> float | None:
    """Submit a thousand at a time; how many seconds all took."""
    queue = await Queue.connect(QueueSettings(redis_url=url))
    began = time.monotonic()
    for _ in range(count // 1000):
        await queue.submit_many([NewJob(service_required="bench")] * 1000)
    took = time.monotonic() - began
    await queue.close()
    return took
