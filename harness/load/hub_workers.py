"""`python -m harness.load.hub_workers`: workers of a hub, many in one process, playing the payload's script.

On a hub a worker is a WebSocket; that several share a process spares the machine under test and changes nothing that
the hub can see. Unlike `harness.actors.HubWorker`, which keeps all it heard for a test to look at, these forget, so
that they can work for hours, and they come back when their connection is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from typing import Any, Final

import click
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from harness.protocols.script import STAMP, Step, steps_of

HEARTBEAT_S: Final = 10.0
RECONNECT_S: Final = 0.5


class HubWorker:
    """One worker: it takes one job at a time, tells its steps, and says when it is idle again."""

    def __init__(
        self, url: str, worker_id: str, services: list[str], attempts: Counter[str], *, first_beat_s: float
    ) -> None:
        self._url = f"{url}/ws/worker/{worker_id}"
        self._id = worker_id
        self._services = services
        self._first_beat_s = first_beat_s
        self._attempts = attempts
        """How often each job was begun, by any worker: the hub does not tell."""
        self._jobs: set[asyncio.Task[None]] = set()
        self.registered = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled, through lost connections."""
        while True:
            with contextlib.suppress(OSError, WebSocketException, ConnectionClosed):
                async with connect(self._url, max_size=None, compression=None, ping_interval=None) as socket:
                    await self._serve(socket)
            self.registered.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _serve(self, socket: ClientConnection) -> None:
        capabilities = {"version": "1.0.0", "supported_job_types": self._services}
        await self._say(socket, "register_worker", capabilities=capabilities, subscribe_to_jobs=True, status="idle")
        heart = asyncio.create_task(self._beat(socket))
        try:
            async for text in socket:
                await self._hear(socket, msgspec.json.decode(text, type=dict[str, Any]))
        finally:
            for task in (heart, *self._jobs):
                task.cancel()
            await asyncio.gather(heart, *self._jobs, return_exceptions=True)

    async def _hear(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        match frame.get("type"):
            case "worker_registered":
                self.registered.set()
            case "job_available" if not self._jobs:
                await self._say(socket, "claim_job", job_id=frame["job_id"])
            case "job_assigned":
                task = asyncio.create_task(self._work(socket, frame["job_id"], frame.get("params") or {}))
                self._jobs.add(task)
                task.add_done_callback(self._jobs.discard)
            case "error" if not self._jobs:
                # a rejected claim: who does not report idle is not offered anything again
                await self._say(socket, "worker_status", status="idle")

    async def _work(self, socket: ClientConnection, job_id: str, payload: dict[str, Any]) -> None:
        """Play the script, end the job, report idle."""
        self._attempts[job_id] += 1
        result: Any = {"status": "success"}
        try:
            for step in steps_of(payload):
                result = await self._play(socket, job_id, step, result)
        except (ScriptFailed, ValueError) as failure:
            await self._say(socket, "fail_job", job_id=job_id, error=str(failure))
        else:
            await self._say(socket, "complete_job", job_id=job_id, result=result)
        self._jobs.discard(asyncio.current_task())
        await self._say(socket, "worker_status", status="idle")

    async def _play(self, socket: ClientConnection, job_id: str, step: Step, result: Any) -> Any:
        if step.sleep_ms is not None:
            await asyncio.sleep(step.sleep_ms / 1000)
        if step.progress is not None:
            details = {"connector_details": {STAMP: time.time()}} if step.stamp else {}
            said = {"progress": step.progress, "status": "processing", "message": step.message}
            await self._say(socket, "update_job_progress", job_id=job_id, **said, **details)
        if step.fail is not None and (step.attempts is None or self._attempts[job_id] <= step.attempts):
            raise ScriptFailed(step.fail)
        if step.hang:
            await asyncio.Event().wait()
        return result if step.result is msgspec.UNSET else step.result

    async def _beat(self, socket: ClientConnection) -> None:
        await asyncio.sleep(self._first_beat_s)
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._say(socket, "worker_heartbeat", status="busy" if self._jobs else "idle")

    async def _say(self, socket: ClientConnection, kind: str, **fields: Any) -> None:
        await socket.send(msgspec.json.encode({"type": kind, "worker_id": self._id, **fields}).decode())


class ScriptFailed(Exception):  # noqa: N818 - the failure is the name
    """The script says that this attempt fails."""


async def work(url: str, count: int, services: list[str]) -> None:
    """Run that many workers; says `workers_ready` on stderr when all are registered.

    Their heartbeats are spread, as those of workers that nobody started together: each makes the hub read every job.
    """
    attempts: Counter[str] = Counter()
    workers = [
        HubWorker(url, f"hub-worker-{number}", services, attempts, first_beat_s=HEARTBEAT_S * number / count)
        for number in range(1, count + 1)
    ]
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run())
        for worker in workers:
            await worker.registered.wait()
        print(f"workers_ready count={count}", file=sys.stderr, flush=True)  # noqa: T201 - the line that a start waits for


@click.command(help="Workers of a hub that play the script in the payload.")
@click.option("--url", required=True, help="The hub: ws://host:port")
@click.option("--count", type=click.IntRange(1, 1000), default=48, show_default=True)
@click.option("--service", "services", multiple=True, default=["simulation"], show_default=True)
def main(url: str, count: int, services: tuple[str, ...]) -> None:
    """Run until told to stop."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work(url.rstrip("/"), count, list(services)))


if __name__ == "__main__":
    main()
