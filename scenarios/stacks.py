"""The stacks that the suites run against, each with a prefix of its own in one Redis, and jobs for their workers."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from msgspec.structs import replace

from harness.clients import LegacyClient, ModernClient, Monitor
from harness.processes import Process, Processes, RedisServer
from harness.processes.services import SERVING
from harness.targets import Deployment, Namespace, Setup, StackTarget

LEASE_MS: Final = 2_000
BACKOFF_MS: Final = 100
SETUP: Final = Setup(
    lease_ms=LEASE_MS,
    retry_backoff_ms=BACKOFF_MS,
    poll_ms=200,
    environment={"WORKER_HEARTBEAT_INTERVAL_MS": "400"},
)
"""All is short, so that a suite need not wait long for what takes a lease or a back-off."""

SUITES: Final = ("feed",)
"""Those that have a service of their own."""
Payload = dict[str, Any]
_numbers = itertools.count(1)


def fresh(word: str) -> str:
    """A name that nobody else has: of a client, of a job, of a worker."""
    return f"{word}-{next(_numbers)}-{secrets.token_hex(3)}"


def script(*steps: Any, result: Any = None) -> Payload:
    """A payload whose worker, the hub's or the stack's, does this step by step. A number reports that much progress."""
    plain = [step if isinstance(step, dict) else {"progress": step} for step in steps]
    return {"simulate": plain + ([{"result": result}] if result is not None else [])}


def wait(ms: float) -> dict[str, Any]:
    """Work for a while without a word."""
    return {"sleep_ms": ms}


def fail(error: str, *, attempts: int | None = None) -> dict[str, Any]:
    """Fail this attempt; with `attempts`, only the first so many."""
    return {"fail": error} | ({} if attempts is None else {"attempts": attempts})


class Stack:
    """A stack under test, and the clients it can have."""

    def __init__(self, http_url: str, *, token: str | None = None, service: str = "simulation") -> None:
        self.service: Final = service
        """What its jobs need as a rule; on a stack that others use, too, a service of this run alone."""
        self.http_url: Final = http_url
        self.ws_url: Final = "ws" + http_url.removeprefix("http")
        self._token = token

    def legacy(self, name: str | None = None) -> LegacyClient:
        """An old client, not yet connected."""
        return LegacyClient(self.ws_url, name or fresh("old-client"), token=self._token, service=self.service)

    def monitor(self) -> Monitor:
        """An old monitor, not yet connected."""
        return Monitor(self.ws_url, fresh("monitor"), token=self._token)

    def modern(self) -> ModernClient:
        """A client of HTTP and events."""
        return ModernClient(self.http_url, token=self._token, service=self.service)

    def service_for(self, suite: str) -> str:
        """A service of one suite's own, which the stack's workers serve as well."""
        return f"{self.service}-{suite}"

    def http(self) -> httpx.AsyncClient:
        """Bare HTTP, for what is said in headers and status codes."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return httpx.AsyncClient(base_url=self.http_url, headers=headers, timeout=10, trust_env=False)


class GivenStack(Stack):
    """A stack that somebody else runs, with workers of ours that take the jobs of this run and no others."""

    def __init__(self, target: StackTarget, processes: Processes, *, workers: int) -> None:
        super().__init__(target.http_url, token=target.token, service=fresh("simulation"))
        self._deployment = Deployment(target, setup=replace(SETUP, token=target.token), processes=processes)
        wanted = (self.service, *map(self.service_for, SUITES))
        connector = SERVING + "+".join(wanted)
        launch = self._deployment.worker_launch
        self._deployment.start_workers([launch(fresh("worker"), connector=connector) for _ in range(workers)])

    def leave(self) -> None:
        """End the workers, and cancel what is left of this run's jobs."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        with httpx.Client(base_url=self.http_url, headers=headers, timeout=10, trust_env=False) as http:
            for service in (self.service, *map(self.service_for, SUITES)):
                for status in ("pending", "claimed"):
                    listed = http.get("/api/jobs", params={"service": service, "status": status, "limit": 100})
                    for job in listed.json().get("jobs", ()):
                        http.post(f"/api/jobs/{job['job_id']}/cancel", json={"reason": "the suites are over"})
        self._deployment.stop()


class OwnStack(Stack):
    """A stack that the suites started: its workers come and go as a test wants."""

    def __init__(self, deployment: Deployment, namespace: Namespace) -> None:
        super().__init__(deployment.target.http_url, token=deployment.target.token)
        self.deployment: Final = deployment
        self.namespace: Final = namespace

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

    async def another_api(self) -> Stack:
        """A second API process on the same queue."""
        return Stack((await self.deployment.add_api(fresh("api"))).http_url)


class Stacks:
    """The Redis and the processes of one run of the suites; `overlay` is a copy of the stack with a seeded defect."""

    def __init__(self, processes: Processes, server: RedisServer, *, overlay: Path | None = None) -> None:
        self.processes: Final = processes
        self.redis: Final = server
        self.overlay: Final = overlay

    def setup(self, **more: Any) -> Setup:
        """How the suites' stacks are started."""
        return replace(SETUP, overlay=self.overlay, **more)

    @contextmanager
    def stack(
        self, name: str, *, token: str | None = None, workers: int = 0, settings: Mapping[str, object] | None = None
    ) -> Iterator[OwnStack]:
        """A stack of its own, empty, that leaves nothing behind in Redis. Settings are environment variables."""
        namespace = Namespace(self.redis.url, f"scenarios-{secrets.token_hex(4)}:")
        environment = {**SETUP.environment, **{key.upper(): str(value) for key, value in (settings or {}).items()}}
        setup = self.setup(name=f"api-{name}", token=token, environment=environment)
        deployment = Deployment.start(self.processes, setup, self.redis, namespace)
        deployment.start_workers([deployment.worker_launch(fresh("worker")) for _ in range(workers)])
        try:
            yield OwnStack(deployment, namespace)
        finally:
            deployment.empty()
            deployment.stop()


def died(processes: Processes) -> list[str]:
    """The processes that ended though nobody stopped them, each with how."""
    return [str(error) for error in processes.died()]
