"""dramatiq: threads that fetch from Redis lists."""

from __future__ import annotations

import threading
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

from loadtests.bench.starts import Starts

SHAPE = "4 processes of 10 threads"
PROCESSES = 4


def _actor(url: str, starts: Starts | None) -> tuple[RedisBroker, dramatiq.Actor]:
    broker = RedisBroker(url=url)
    broker.add_middleware(CurrentMessage())
    dramatiq.set_broker(broker)

    def bench() -> None:
        if starts is not None:
            starts.mark(CurrentMessage.get_current_message().message_id)

    return broker, dramatiq.actor(bench, broker=broker)


def work(url: str, starts: Starts) -> None:
    """Be one worker process, for ever."""
    broker, _ = _actor(url, starts)
    dramatiq.Worker(broker, worker_threads=10).start()
    threading.Event().wait()


async def submit_paced(url: str, count: int, every: float) -> list[tuple[str, float]]:
    """Submit a job every so often; each id and when its submission returned."""
    _, bench = _actor(url, None)
    returned = []
    due = time.monotonic()
    for _ in range(count):
        due += every
        time.sleep(max(0.0, due - time.monotonic()))  # noqa: ASYNC251 - dramatiq is not asynchronous
        message = bench.send()
        returned.append((message.message_id, time.monotonic()))
    return returned


async def submit_each(url: str, count: int) -> float:
    """Submit one after the other; how many seconds that took."""
    _, bench = _actor(url, None)
    began = time.monotonic()
    for _ in range(count):
        bench.send()
    return time.monotonic() - began


async def submit_bulk(url: str, count: int) -> float | None:  # noqa: ARG001
    """It has no submission in bulk."""
    return None
