"""saq: asyncio workers on Redis lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue, Worker

from loadtests.bench.starts import Starts


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""

    async def bench(context: dict[str, Any]) -> None:
        starts.mark(context["job"].id)

    async def main() -> None:
        await Worker(Queue.from_url(url), functions=[("bench", bench)], concurrency=10).start()

    asyncio.run(main())


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    queue = Queue.from_url(url)

    async def submit() -> Any:
        return (await queue.enqueue("bench")).id

    yield submit, None
    await queue.disconnect()
