"""A worker of the first new stack: it takes ids off the sorted set `jobs:pending` and their fields from `job:{id}`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Any, Self

import redis.asyncio


class FirstStackWorker:
    """`async with FirstStackWorker(redis_url)`: polls until it is left. What it took and could not read is lost."""

    POLL_S = 0.05

    def __init__(self, redis_url: str, worker_id: str = "old-worker") -> None:
        self._redis: Any = redis.asyncio.Redis.from_url(redis_url, decode_responses=True)
        self._worker_id = worker_id
        self._task: asyncio.Task[None] | None = None
        self._polled = asyncio.Event()
        self.taken: list[str] = []
        self.polls = 0

    async def __aenter__(self) -> Self:
        await self._redis.hset(f"worker:{self._worker_id}", mapping={"status": "idle", "connected_at": time.time()})
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._redis.aclose()

    async def polled(self, times: int) -> None:
        """Wait for so many polls from now on."""
        until = self.polls + times
        async with asyncio.timeout(10):
            while self.polls < until:
                self._polled.clear()
                await self._polled.wait()

    async def _run(self) -> None:
        while True:
            for job_id, _score in await self._redis.zpopmax("jobs:pending", 1):
                self.taken.append(job_id)
                if job := await self._redis.hgetall(f"job:{job_id}"):
                    await self._redis.hset(f"job:{job_id}", mapping={**job, "status": "assigned"})
            self.polls += 1
            self._polled.set()
            await asyncio.sleep(self.POLL_S)
