"""BullMQ's client for Python: asyncio workers, the rules in Lua scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bullmq import Queue, Worker

from loadtests.bench.starts import Starts


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""

    async def bench(job: Any, token: str) -> None:  # noqa: ARG001
        starts.mark(job.id)

    async def main() -> None:
        Worker("bench", bench, {"connection": url, "concurrency": 10})
        await asyncio.Event().wait()

    asyncio.run(main())


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    queue = Queue("bench", {"connection": url})

    async def submit() -> Any:
        return (await queue.add("bench", {})).id

    async def submit_thousand() -> None:
        await queue.addBulk([{"name": "bench", "data": {}} for _ in range(1000)])

    yield submit, submit_thousand
    await queue.close()
