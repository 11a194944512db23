"""arq: asyncio workers that poll a sorted set."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from loadtests.bench.starts import Starts


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""
    logging.disable()
    asyncio.set_event_loop(asyncio.new_event_loop())

    async def bench(context: dict[str, Any]) -> None:
        starts.mark(context["job_id"])

    settings = RedisSettings.from_dsn(url)
    Worker([func(bench, name="bench")], redis_settings=settings, max_jobs=10, handle_signals=False).run()


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    pool = await create_pool(RedisSettings.from_dsn(url))

    async def submit() -> Any:
        return (await pool.enqueue_job("bench")).job_id

    yield submit, None
    await pool.aclose()
