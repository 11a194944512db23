"""streaq: asyncio workers on Redis streams and functions."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from streaq import Worker

from loadtests.bench.starts import Starts

SHAPE = "4 processes of 10"
PROCESSES = 4


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


async def submit_paced(url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission returned."""
    worker, bench = _worker(url, None)
    returned = []
    async with worker:
        due = time.monotonic()
        for _ in range(count):
            due += every
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = await bench.enqueue()
            returned.append((task.id, time.monotonic()))
    return returned


async def submit_each(url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    worker, bench = _worker(url, None)
    async with worker:
        began = time.monotonic()
        for _ in range(count):
            await bench.enqueue()
        return time.monotonic() - began


async def submit_bulk(url: str, count: int) -> float | None:
    """Submit a thousand at a time; how many seconds all took."""
    worker, bench = _worker(url, None)
    async with worker:
        began = time.monotonic()
        for _ in range(count // 1000):
            await worker.enqueue_many([bench.enqueue() for _ in range(1000)])
        return time.monotonic() - began
