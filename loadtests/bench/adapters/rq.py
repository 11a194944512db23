"""rq: one job at a time in each process; its worker that does not fork for each job, the fastest of them.

It finds its functions by import path: the job's body is one of this module, and the worker says where it notes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, get_current_job

from loadtests.bench.starts import Starts

STARTS: list[Starts] = []


def bench() -> None:
    """The job."""
    STARTS[0].mark(get_current_job().id)


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""
    STARTS.append(starts)
    connection = Redis.from_url(url)
    SimpleWorker([Queue(connection=connection)], connection=connection).work(logging_level=logging.ERROR)


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    queue = Queue(connection=Redis.from_url(url))

    async def submit() -> Any:
        return queue.enqueue(bench).id

    async def submit_thousand() -> None:
        queue.enqueue_many([Queue.prepare_data(bench) for _ in range(1000)])

    yield submit, submit_thousand
