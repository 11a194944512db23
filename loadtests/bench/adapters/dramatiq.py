"""dramatiq: threads that fetch from Redis lists."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

from loadtests.bench.starts import Starts


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


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What submits: one job, or a thousand."""
    _, bench = _actor(url, None)

    async def submit() -> Any:
        return bench.send().message_id

    yield submit, None
