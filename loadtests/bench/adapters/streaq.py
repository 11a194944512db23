"""streaq: asyncio workers on Redis streams and functions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from streaq import Worker

from loadtests.bench.starts import Starts


def _worker(url: str, starts: Starts | None) -> tuple[Worker, Any]:
    worker = Worker(redis_url=url, concurrency=10)

    async def bench() -> None:
        if starts is not None:
            starts.mark(task.context.task_id)

    task = worker.task(bench)
    return worker, task


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""
    worker, _ = _worker(url, starts)
    worker.run_sync()


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    worker, bench = _worker(url, None)

    async def submit() -> Any:
        return (await bench.enqueue()).id

    async def submit_thousand() -> None:
        await worker.enqueue_many([bench.enqueue() for _ in range(1000)])

    async with worker:
        yield submit, submit_thousand
