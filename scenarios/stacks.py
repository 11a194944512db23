"""What the suites stand on: one Redis, and stacks on it that do not see each other."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from harness.actors import LegacyClient, ModernClient, Monitor
from harness.processes import Launch, Process, Processes, RedisServer, empty, services
from harness.targets import StackTarget

LEASE_MS: Final = 2_000
BACKOFF_MS: Final = 100
TERMS: Final = {
    "HUBGATE_LEASE_MS": str(LEASE_MS),
    "HUBGATE_RETRY_BACKOFF_MS": str(BACKOFF_MS),
    "WORKER_HEARTBEAT_INTERVAL_MS": "400",
}
"""Short, so that a suite need not wait long for what takes a lease or a back-off."""
POLL_MS: Final = 200

_numbers = itertools.count(1)


def fresh(word: str) -> str:
    """A name that nobody else has: of a client, of a job, of a worker."""
    return f"{word}-{next(_numbers)}-{secrets.token_hex(3)}"


class Stack:
    """A stack under test, and the clients it can have."""

    def __init__(self, http_url: str, *, token: str | None = None) -> None:
        self.http_url: Final = http_url
        self.ws_url: Final = "ws" + http_url.removeprefix("http")
        self._token = token

    def legacy(self, name: str | None = None) -> LegacyClient:
        """An old client, not yet connected."""
        return LegacyClient(self.ws_url, name or fresh("old-client"), token=self._token)

    def monitor(self) -> Monitor:
        """An old monitor, not yet connected."""
        return Monitor(self.ws_url, fresh("monitor"), token=self._token)

    def modern(self) -> ModernClient:
        """A client of HTTP and events."""
        return ModernClient(self.http_url, token=self._token)

    def http(self) -> httpx.AsyncClient:
        """Bare HTTP, for what is said in headers and status codes."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return httpx.AsyncClient(base_url=self.http_url, headers=headers, timeout=10, trust_env=False)


class OwnStack(Stack):
    """A stack that the suites started: its workers come and go as a test wants."""

    def __init__(self, api: Process, stacks: Stacks, prefix: str, *, token: str | None = None) -> None:
        super().__init__(api.http_url, token=token)
        self.prefix: Final = prefix
        self.redis_url: Final = stacks.redis.url
        self.api = api
        self._stacks = stacks
        self._workers: list[Process] = []

    async def worker(self, name: str = "worker", *, concurrency: int = 1, **settings: Any) -> Process:
        """One more worker, ready. Settings are environment variables, in capitals or not."""
        (started,) = await self.workers(1, name, concurrency=concurrency, **settings)
        return started

    async def workers(
        self, count: int, name: str = "worker", *, concurrency: int = 1, **settings: Any
    ) -> list[Process]:
        """Several at once, ready all."""
        launches = [self._worker_launch(fresh(name), settings, concurrency) for _ in range(count)]
        started = await self._stacks.processes.astart_all(launches)
        self._workers += started
        return started

    def begin_with(self, count: int) -> None:
        """The same before any test runs."""
        launches = [self._worker_launch(fresh("worker"), {}) for _ in range(count)]
        with ThreadPoolExecutor(count) as threads:
            self._workers += threads.map(self._stacks.processes.start, launches)

    async def another_api(self) -> Stack:
        """A second API process on the same queue."""
        launch = self._stacks.api_launch(fresh("api"), self.prefix)
        process = await self._stacks.processes.astart(launch)
        self._workers.append(process)
        return Stack(process.http_url)

    def target(self) -> StackTarget:
        """The same as a target of replays and puppets."""
        return StackTarget(
            http_url=self.http_url,
            owned=True,
            redis_url=self.redis_url,
            prefix=self.prefix,
            lease_ms=LEASE_MS,
            retry_backoff_ms=BACKOFF_MS,
        )

    def empty(self) -> None:
        """Have no worker and no job any more."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        empty(self.redis_url, self.prefix)

    def _worker_launch(self, name: str, settings: Mapping[str, Any], concurrency: int = 1) -> Launch:
        return services.worker(
            name,
            redis_url=self.redis_url,
            prefix=self.prefix,
            poll_ms=POLL_MS,
            concurrency=concurrency,
            environment=TERMS | {key.upper(): str(value) for key, value in settings.items()},
            overlay=self._stacks.overlay,
        )


class Stacks:
    """The Redis and the processes of one run of the suites; `overlay` is a copy of the stack with a seeded defect."""

    def __init__(self, processes: Processes, server: RedisServer, *, overlay: Path | None = None) -> None:
        self.processes: Final = processes
        self.redis: Final = server
        self.overlay: Final = overlay

    def api_launch(self, name: str, prefix: str, *, token: str | None = None) -> Launch:
        """How an API process on that part of the Redis is started."""
        return services.api(
            redis_url=self.redis.url, prefix=prefix, name=name, token=token, environment=TERMS, overlay=self.overlay
        )

    @contextmanager
    def stack(self, name: str, *, token: str | None = None, workers: int = 0) -> Iterator[OwnStack]:
        """A stack of its own, empty, that leaves nothing behind in Redis."""
        prefix = f"scenarios-{secrets.token_hex(4)}:"
        api = self.processes.start(self.api_launch(f"api-{name}", prefix, token=token))
        stack = OwnStack(api, self, prefix, token=token)
        if workers:
            stack.begin_with(workers)
        try:
            yield stack
        finally:
            stack.empty()
            api.stop()


def died(processes: Processes) -> list[str]:
    """The processes that ended though nobody stopped them, each with how."""
    return [str(process.death("on its own")) for process in processes if process.expected_to_live and not process.alive]
