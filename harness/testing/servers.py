"""A hub or a stack under test, the clients that a test has of it, and what it may break of one that this run started.

What the clients say and hear is kept for the report.
"""

from __future__ import annotations

import itertools
import secrets
from typing import Any, Final, Self, TypeVar

import httpx
import msgspec
import pytest

from harness.clients import LegacyClient, ModernClient, Monitor, RecordingSocket
from harness.clients.transport import plain_http
from harness.errors import CouldNotRun
from harness.faults import FlushFunctions, KillServers, Nemesis, Plan, Signal, Waves
from harness.history import HistoryWriter
from harness.processes import Process, Valkey
from harness.protocols.description import Described
from harness.targets import Deployment, Setup, StackTarget, Target

_Actor = TypeVar("_Actor", bound=RecordingSocket)
_numbers = itertools.count(1)
QUICK: Final = Setup(
    lease_ms=2_000, retry_backoff_ms=100, poll_ms=200, environment={"WORKER_HEARTBEAT_INTERVAL_MS": "400"}
)
"""All is short, so that a test need not wait long for what takes a lease or a back-off."""


def fresh(word: str) -> str:
    """A name that nobody else has: of a client, of a job, of a worker."""
    return f"{word}-{next(_numbers)}-{secrets.token_hex(3)}"


class Server:
    """A hub or a stack that answers at a URL, whoever runs it."""

    def __init__(self, target: Target, *, service: str = "simulation", protocol: Described | None = None) -> None:
        self.target: Final = target
        self.protocol: Final = protocol
        """All that is known of it, where its words are its own."""
        self.service: Final = service
        """What its jobs need as a rule; on a server that others use, too, a service of this run alone."""
        self.http_url: Final = target.http_url
        self.ws_url: Final = target.ws_url
        self.actors: Final[list[RecordingSocket]] = []
        """The WebSocket clients and monitors that were made since the test began."""

    @classmethod
    def of_stack(cls, url: str, *, token: str | None = None, service: str = "simulation") -> Self:
        """A stack's API, known by its URL alone. Raises CouldNotRun for what is none."""
        return cls(StackTarget.at(url, redis_url="", token=token), service=service)

    def legacy(self, name: str | None = None) -> LegacyClient:
        """An old client, not yet connected."""
        self._understands("a hub's client", "hub")
        return self._kept(
            LegacyClient(self.ws_url, name or fresh("old-client"), token=self.target.token, service=self.service)
        )

    def monitor(self, name: str | None = None) -> Monitor:
        """An old monitor, not yet connected."""
        self._understands("a hub's monitor")
        return self._kept(Monitor(self.ws_url, name or fresh("monitor"), token=self.target.token))

    def modern(self) -> ModernClient:
        """A client of HTTP and events."""
        self._understands("a client of hubgate's stack")
        return ModernClient(self.http_url, token=self.target.token, service=self.service)

    def http(self) -> httpx.AsyncClient:
        """Bare HTTP, for what is said in headers and status codes."""
        return plain_http(self.http_url, self.target.token, 10)

    def _understands(self, who: str, words: str = "") -> None:
        """Skip the test where no more is known of the server than a protocol, and that serves no such words."""
        if self.protocol is not None and (not words or words != self.protocol.description.serves):
            name = self.protocol.name
            pytest.skip(f"it speaks as {who} does: of this target no more is known than its protocol {name}")

    def _kept(self, actor: _Actor) -> _Actor:
        self.actors.append(actor)
        return actor


class OwnServer(Server):
    """A stack that this run started: its workers come and go as a test wants."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment.target)
        self.deployment: Final = deployment

    async def worker(self, name: str = "worker", **settings: Any) -> Process:
        """One more worker, ready; see `workers`."""
        (started,) = await self.workers(1, name, **settings)
        return started

    async def workers(
        self, count: int, name: str = "worker", *, concurrency: int = 1, connector: str = "simulation", **settings: Any
    ) -> list[Process]:
        """Several at once, ready all. Other settings are environment variables, in capitals or not."""
        environment = {key.upper(): str(value) for key, value in settings.items()}
        launch = self.deployment.worker_launch
        return await self.deployment.astart_workers(
            [
                launch(fresh(name), concurrency=concurrency, connector=connector, environment=environment)
                for _ in range(count)
            ]
        )

    async def another_api(self) -> Server:
        """A second API process on the same queue."""
        api = await self.deployment.add_api(fresh("api"))
        return Server(msgspec.structs.replace(self.target, http_url=api.http_url))


class Nemeses:
    """The nemeses of one stack, all by one seed; `writer` has the history of what they did.

    async with nemesis.workers(Signal.KILL, waves=2) as killing:
        await killing.done()
    """

    def __init__(self, server: OwnServer, *, seed: int) -> None:
        self.writer: Final = HistoryWriter()
        self._deployment = server.deployment
        self._seed = seed

    def workers(
        self, how: Signal = Signal.KILL, *, share: float = 1 / 3, waves: int = 1, every_s: float = 0.5
    ) -> Nemesis:
        """Kill, stop or end a share of the workers, so many times, and start them again. Raises CouldNotRun."""
        workers = self._deployment.workers
        if not workers:
            raise CouldNotRun("the stack has no workers that could be struck")
        return Waves(workers, self.writer, seed=self._seed, how=how, share=share, waves=waves, every_s=every_s)

    def servers(self, how: Signal = Signal.KILL, *, times: int = 1, every_s: float = 0.5) -> Nemesis:
        """The same with the API's processes, one at a time."""
        return KillServers(
            self._deployment.servers, self.writer, seed=self._seed, how=how, times=times, every_s=every_s
        )

    def functions(self, *, times: int = 1, every_s: float = 0.5) -> Nemesis:
        """Take the queue's functions out of Redis. Raises CouldNotRun where the Redis is not of this run."""
        redis = self._deployment.redis
        if not isinstance(redis, Valkey):
            raise CouldNotRun("this Redis was given: its functions may be somebody else's, too")
        return FlushFunctions(redis, self.writer, seed=self._seed, plan=Plan(times=times, every_s=every_s, for_s=0.1))
