"""arq: asyncio workers that poll a sorted set."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from loadtests.bench.starts import Starts

SHAPE = "4 processes of 10"
PROCESSES = 4


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""
    logging.disable()
    asyncio.set_event_loop(asyncio.new_event_loop())

    async def bench(context: dict[str, Any]) -> None:
        starts.mark(context["job_id"])

    settings = RedisSettings.from_dsn(url)
    Worker([func(bench, name="bench")], redis_settings=settings, max_jobs=10, handle_signals=False).run()


async def submit_paced(url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission returned."""
    pool = await create_pool(RedisSettings.from_dsn(url))
    returned = []
    due = time.monotonic()
    for _ in range(count):
        due += every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        job = await pool.enqueue_job("bench")
        returned.append((job.job_id, time.monotonic()))
    await pool.aclose()
    return returned


async def submit_each(url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    pool = await create_pool(RedisSettings.from_dsn(url))
    began = time.monotonic()
    for _ in range(count):
        await pool.enqueue_job("bench")
    took = time.monotonic() - began
    await pool.aclose()
    return took


async def submit_bulk(url: str, count: int) -> float | None:  # noqa: ARG001
    """It has no submission in bulk."""
    return None
