"""rq: one job at a time in each process; its worker that does not fork for each job, the fastest of them."""

from __future__ import annotations

import logging
import time

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


async def submit_paced(url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission returned."""
    queue = Queue(connection=Redis.from_url(url))
    returned = []
    due = time.monotonic()
    for _ in range(count):
        due += every
        time.sleep(max(0.0, due - time.monotonic()))  # noqa: ASYNC251 - rq is not asynchronous
        job = queue.enqueue(rq_jobs.bench)
        returned.append((job.id, time.monotonic()))
    return returned


async def submit_each(url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    queue = Queue(connection=Redis.from_url(url))
    began = time.monotonic()
    for _ in range(count):
        queue.enqueue(rq_jobs.bench)
    return time.monotonic() - began


async def submit_bulk(url: str, count: int) -> float | None:
    """Submit a thousand at a time; how many seconds all took."""
    queue = Queue(connection=Redis.from_url(url))
    began = time.monotonic()
    for _ in range(count // 1000):
        queue.enqueue_many([Queue.prepare_data(rq_jobs.bench) for _ in range(1000)])
    return time.monotonic() - began
