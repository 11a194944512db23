"""hubgate's queue under its own workers: leases, events, heartbeats, priorities and reaping on, all at defaults."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from new_stack.worker.connector_spec import ConnectorSpec


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
        spec = ConnectorSpec(name="bench", services=("*",))
        queue = await Queue.connect(settings.queue)
        connectors = ConnectorRegistry([(spec, Bench(starts))])
        await Worker(settings, queue, connectors, EventLog(worker_id=settings.worker_id)).run()

    uvloop.run(main())


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    queue = await Queue.connect(QueueSettings(redis_url=url))

    async def submit() -> Any:
        return (await queue.submit(NewJob(service_required="bench"))).job_id

    async def submit_thousand() -> None:
        await queue.submit_many([NewJob(service_required="bench")] * 1000)

    yield submit, submit_thousand
    await queue.close()
