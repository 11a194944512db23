"""taskiq: asyncio workers on a Redis stream with acknowledgements."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from loadtests.bench.starts import Starts


def _broker(url: str, starts: Starts | None) -> tuple[RedisStreamBroker, Any]:
    broker = RedisStreamBroker(url)

    async def bench(job_id: str) -> None:
        if starts is not None:
            starts.mark(job_id)

    return broker, broker.task(task_name="bench")(bench)


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""

    async def main() -> None:
        broker, _ = _broker(url, starts)
        broker.is_worker_process = True
        await broker.startup()
        await run_receiver_task(broker, max_async_tasks=10)

    asyncio.run(main())


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    broker, bench = _broker(url, None)
    await broker.startup()

    async def submit() -> Any:
        job_id = uuid.uuid4().hex
        await bench.kiq(job_id)
        return job_id

    yield submit, None
    await broker.shutdown()
