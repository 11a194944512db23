"""BullMQ's client for Python: asyncio workers, the rules in Lua scripts."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bullmq import Queue, Worker

from loadtests.bench.starts import Starts

SHAPE = "4 processes of 10"
PROCESSES = 4


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""

    async def bench(job: Any, token: str) -> None:  # noqa: ARG001
        starts.mark(job.id)

    async def main() -> None:
        Worker("bench", bench, {"connection": url, "concurrency": 10})
        await asyncio.Event().wait()

    asyncio.run(main())


async def submit_paced(url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission returned."""
    queue = Queue("bench", {"connection": url})
    returned = []
    due = time.monotonic()
    for _ in range(count):
        due += every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        job = await queue.add("bench", {})
        returned.append((job.id, time.monotonic()))
    await queue.close()
    return returned


async def submit_each(url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    queue = Queue("bench", {"connection": url})
    began = time.monotonic()
    for _ in range(count):
        await queue.add("bench", {})
    took = time.monotonic() - began
    await queue.close()
    return took


async def submit_bulk(url: str, count: int) -> float | None:
    """Submit a thousand at a time; how many seconds all took."""
    queue = Queue("bench", {"connection": url})
    began = time.monotonic()
    for _ in range(count // 1000):
        await queue.addBulk([{"name": "bench", "data": {}} for _ in range(1000)])
    took = time.monotonic() - began
    await queue.close()
    return took
