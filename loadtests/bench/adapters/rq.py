"""rq: one job at a time in each process; its worker that does not fork for each job, the fastest of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker

from loadtests.bench.adapters import rq_jobs
from loadtests.bench.starts import Starts

SHAPE = "40 processes of 1"
PROCESSES = 40


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""
    rq_jobs.STARTS.append(starts)
    connection = Redis.from_url(url)
    SimpleWorker([Queue(connection=connection)], connection=connection).work(logging_level=logging.ERROR)


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    queue = Queue(connection=Redis.from_url(url))

    async def submit() -> Any:
        return queue.enqueue(rq_jobs.bench).id

    async def submit_thousand() -> None:
        queue.enqueue_many([Queue.prepare_data(rq_jobs.bench) for _ in range(1000)])

    yield submit, submit_thousand
