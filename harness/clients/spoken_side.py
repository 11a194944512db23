"""A hub or a stack of which only a protocol is known: where it is, its clients, and the workers that can be started."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from msgspec.structs import replace

from harness.clients.spoken_client import NotTold, SpokenClient
from harness.errors import CouldNotRun, EnvironmentFailure
from harness.processes import Launch, Process, Processes, log_says
from harness.processes.redis import connect
from harness.protocols import ENDS, JobState
from harness.protocols.description import Described, Worker, filled
from harness.targets import Target
from harness.tasks import few_at_once

OVER: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN})
LEAVE_S: Final = 1.0
LEFT_AT_ONCE: Final = 8
NO_REDIS: Final = "Give it with --redis: it is filled in for {redis} of [worker]."
TAKE_ALL: Final = "They would take the jobs of others: name {services} in its command"
START_S: Final = 1.0
"""What a worker gets to start that does not say when it is ready."""
_numbers = itertools.count(1)


class NotAsked(CouldNotRun):
    """This target cannot be asked for it; the sentence says why."""


@dataclass(frozen=True, kw_only=True)
class SpokenSide:
    """A hub or a stack, reached by its protocol."""

    target: Target
    protocol: Described
    processes: Processes
    redis_url: str = ""
    prefix: str = ""
    jobs: list[str] = field(default_factory=list)
    """All that were submitted to it."""

    @property
    def name(self) -> str:
        """As it is called in sentences."""
        return f"the {self.target.side.value}"

    def service(self) -> str:
        """A service that nothing else of this run needs, and nothing of anybody else."""
        return f"hubgate-{secrets.token_hex(4)}-{next(_numbers)}"

    def client(self, protocol: Described | None = None, **more: Any) -> SpokenClient:
        """A client, not yet connected."""
        spoken = protocol or self.protocol
        name = f"hubgate-{secrets.token_hex(4)}"
        return SpokenClient(spoken, self.target.http_url, name, token=self.target.token, submitted=self.jobs, **more)

    def payload(self, *steps: dict[str, Any]) -> Any:
        """The payload of a job whose worker plays these steps."""
        return filled(self._worker.payload, {"script": list(steps)})

    @asynccontextmanager
    async def workers(self, count: int, service: str) -> AsyncIterator[list[Process]]:
        """So many workers for that service alone; they are gone afterwards."""
        launches = [self.launch(service) for _ in range(count)]
        started = await asyncio.gather(*(self.processes.astart(launch) for launch in launches))
        if not self._worker.ready:
            await asyncio.sleep(START_S)
        try:
            yield list(started)
        finally:
            await asyncio.gather(*(asyncio.to_thread(process.stop) for process in started))

    def require_ends(self) -> None:
        """Raises CouldNotRun where no client is told how a job ended."""
        told = self.protocol.description.told or self.protocol.description.follow is not None
        if not told or not self.protocol.tells & ENDS:
            why = "has no `[follow]` and is not `told`" if not told else "knows no event that ends a job"
            raise CouldNotRun(f"no client is told how its jobs end: the protocol {self.protocol.name} {why}")

    def require_workers(self) -> None:
        """Raises CouldNotRun where no worker can be started, or only one that would take the jobs of others."""
        if self._worker.needs("{redis}") and not self.redis_url:
            raise CouldNotRun(f"workers need the URL of their Redis, and none is given. {NO_REDIS}")
        if not self._worker.keeps_to_services:
            raise CouldNotRun(f"workers of the protocol {self.protocol.name} take every service. {TAKE_ALL}.")

    async def check_worker(self) -> None:
        """Start a worker and stop it, before anything is judged by what workers do. Raises CouldNotRun."""
        if self.protocol.description.worker is None:
            return
        try:
            async with self.workers(1, self.service()):
                pass
        except EnvironmentFailure as error:
            said = str(error).strip().splitlines()
            why = (
                f"the command of [worker] in the protocol {self.protocol.name} starts no worker: {' '.join(said[-2:])}"
            )
            raise CouldNotRun(why) from error

    async def another(self, service: str) -> Process:
        """One more worker, in place of one that was killed."""
        return await self.processes.astart(self.launch(service))

    async def in_redis(self, job_id: str) -> str:
        """What its Redis holds of a job, in a sentence; empty where the protocol does not tell how to look."""
        command = self.protocol.description.redis_state
        if not command or not self.redis_url:
            return ""
        words = filled(command, {"job_id": job_id, "prefix": self.prefix})

        def read() -> Any:
            opened: Any = connect(self.redis_url, decode_responses=True)  # the library has no types for it
            with contextlib.closing(opened) as client:
                return client.execute_command(*words)

        with contextlib.suppress(redis.RedisError):
            return f" ({' '.join(words)} in its Redis: {await asyncio.to_thread(read)})"
        return ""

    async def leave(self) -> list[str]:
        """Cancel what is left of this run's jobs; answers those that could not be brought to an end."""
        async with self.client() as client:

            async def over(job_id: str) -> bool:
                with contextlib.suppress(NotTold):
                    if (await client.state(job_id)).state in OVER:
                        return True
                    await client.cancel(job_id, "the run that submitted it is over")
                    return (await client.settled(job_id, OVER, LEAVE_S)).state in OVER
                return False

            ended = await few_at_once(over, self.jobs, LEFT_AT_ONCE)
        return [job_id for job_id, is_over in zip(self.jobs, ended, strict=True) if not is_over]

    @property
    def _worker(self) -> Worker:
        worker = self.protocol.description.worker
        if worker is None:
            raise NotAsked(f"The protocol {self.protocol.name} does not say how a worker is started.")
        return worker

    def launch(self, service: str) -> Launch:
        """How one more worker for that service alone is started."""
        worker = self._worker
        worker_id = f"hubgate-{secrets.token_hex(4)}"
        known = {
            "url": self.target.http_url,
            "ws_url": self.target.ws_url,
            "redis": self.redis_url,
            "prefix": self.prefix,
            "token": self.target.token or "",
            "worker_id": worker_id,
            "services": service,
            "python": sys.executable,
            "here": str(self.protocol.here or ""),
        }
        launch = Launch(
            name=worker_id,
            command=tuple(filled(worker.command, known)),
            environment=filled(worker.environment, known),
            ready_s=worker.starts_within_s,
        )
        return replace(launch, probe=log_says(worker.ready)) if worker.ready else launch


def steps(*progress: float, pause_ms: float = 50, result: Any = None) -> list[dict[str, Any]]:
    """A script that reports so much progress and completes."""
    reports: list[dict[str, Any]] = [
        part for value in progress for part in ({"sleep_ms": pause_ms}, {"progress": value, "stamp": True})
    ]
    return [*reports, {"result": result or {"status": "success"}}]
