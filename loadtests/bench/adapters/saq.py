"""saq: asyncio workers on Redis lists."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from saq import Queue, Worker

from loadtests.bench.starts import Starts

SHAPE = "4 processes of 10"
PROCESSES = 4


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""

    async def bench(context: dict[str, Any]) -> None:
        starts.mark(context["job"].id)

    async def main() -> None:
        await Worker(Queue.from_url(url), functions=[("bench", bench)], concurrency=10).start()

    asyncio.run(main())


async def submit_paced(url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission returned."""
    queue = Queue.from_url(url)
    returned = []
    due = time.monotonic()
    for _ in range(count):
        due += every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        job = await queue.enqueue("bench")
        returned.append((job.id, time.monotonic()))
    await queue.disconnect()
    return returned


async def submit_each(url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    queue = Queue.from_url(url)
    began = time.monotonic()
    for _ in range(count):
        await queue.enqueue("bench")
    took = time.monotonic() - began
    await queue.disconnect()
    return took


async def submit_bulk(url: str, count: int) -> float | None:  # noqa: ARG001
    """It has no submission in bulk."""
    return None
