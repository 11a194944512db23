"""The stacks that the suites run against, each with a prefix of its own in one Redis, and jobs for their workers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from harness.gate.leftovers import end_what_is_left
from harness.processes import Processes, RedisServer
from harness.processes.services import SERVING
from harness.targets import Deployment, Namespace, Setup, StackTarget
from harness.testing import QUICK, OwnServer, Server, fresh

LEASE_MS: Final = QUICK.lease_ms
BACKOFF_MS: Final = QUICK.retry_backoff_ms
ELSEWHERE: Final = {"TZ": "NPT-5:45"}
"""A zone in which what is told in local time is wrong: most machines that judge have the universal one."""
SUITES: Final = ("feed",)
"""Those that have a service of their own."""
Payload = dict[str, Any]


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


def service_for(stack: Server, suite: str) -> str:
    """A service of one suite's own, which the stack's workers serve as well."""
    return f"{stack.service}-{suite}"


class GivenStack(Server):
    """A stack that somebody else runs, with workers of ours that take the jobs of this run and no others."""

    def __init__(self, target: StackTarget, processes: Processes, *, workers: int) -> None:
        super().__init__(target, service=fresh("simulation"))
        self._deployment = Deployment(target, setup=replace(QUICK, token=target.token), processes=processes)
        self._services = (self.service, *(service_for(self, suite) for suite in SUITES))
        connector = SERVING + "+".join(self._services)
        launch = self._deployment.worker_launch
        self._deployment.start_workers([launch(fresh("worker"), connector=connector) for _ in range(workers)])

    def leave(self) -> None:
        """End the workers, and cancel what is left of this run's jobs."""
        asyncio.run(end_what_is_left([self.target], self._services))
        self._deployment.stop()


class OwnStack(OwnServer):
    """A stack that the suites started, in a part of Redis of its own."""

    def __init__(self, deployment: Deployment, namespace: Namespace) -> None:
        super().__init__(deployment)
        self.namespace: Final = namespace


class Stacks:
    """The Redis and the processes of one run of the suites; `overlay` is a copy of the stack with a seeded defect."""

    def __init__(self, processes: Processes, server: RedisServer, *, overlay: Path | None = None) -> None:
        self.processes: Final = processes
        self.redis: Final = server
        self.overlay: Final = overlay

    def setup(self, **more: Any) -> Setup:
        """How the suites' stacks are started."""
        return replace(QUICK, overlay=self.overlay, **more)

    @contextmanager
    def stack(
        self, name: str, *, token: str | None = None, workers: int = 0, settings: Mapping[str, object] | None = None
    ) -> Iterator[OwnStack]:
        """A stack of its own, empty, that leaves nothing behind in Redis. Settings are environment variables."""
        namespace = Namespace(self.redis.url, f"scenarios-{secrets.token_hex(4)}:")
        told = {key.upper(): str(value) for key, value in (settings or {}).items()}
        environment = {**QUICK.environment, **ELSEWHERE, **told}
        setup = self.setup(name=f"api-{name}", token=token, environment=environment)
        deployment = Deployment.start(self.processes, setup, self.redis, namespace)
        deployment.start_workers([deployment.worker_launch(fresh("worker")) for _ in range(workers)])
        try:
            yield OwnStack(deployment, namespace)
        finally:
            deployment.remove()


def ours(request: pytest.FixtureRequest, need: str) -> Stacks:
    """The Redis and the processes of this run, for a test that has a need which no given stack meets."""
    if request.config.getoption("--candidate"):
        pytest.skip(f"needs {need}")
    stacks: Stacks = request.getfixturevalue("stacks")
    return stacks


def died(processes: Processes) -> list[str]:
    """The processes that ended though nobody stopped them, each with how."""
    return [str(error) for error in processes.died()]
