"""`python -m harness.clients.hub_worker`: workers of a hub, many in one process, that play the payload's script.

On a hub a worker is a WebSocket; that several share a process spares the machine under test and changes nothing that
the hub can see. `WorkerSession` is a worker without I/O, `HubWorker` the same over asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from harness.clients.transport import Background, Socket, Unreachable
from harness.protocols import hub
from harness.protocols.hub import ChunkAssembler, Frame
from harness.protocols.script import Step, steps_of
from harness.tasks import called_off
from harness.workers.journal import Journal, NoJournal, Run, journal_in

HEARTBEAT_S: Final = 10.0
RECONNECT_S: Final = 0.5


class Assignment(msgspec.Struct, frozen=True):
    """A job that was given to a worker."""

    job_id: str
    payload: Any
    service: str = ""


class WorkerSession:
    """One worker: it takes one job at a time, reports each step, and reports when it is idle again.

    `attempts` counts how often each job was begun. The hub does not send the count, so the workers of one process share
    it, and those of several have it from their journals. What it runs it writes into the journal.
    """

    def __init__(
        self, worker_id: str, services: list[str], attempts: Counter[str], journal: Journal | None = None
    ) -> None:
        self.worker_id: Final = worker_id
        self.path: Final = hub.path_of("worker", worker_id)
        self.registered = False
        self._services = services
        self._attempts = attempts
        self._journal = journal or NoJournal()
        self._journal.serving(worker_id, services, places=1)
        self._offered: dict[str, str] = {}
        """The services of the jobs that it asked for: an assignment does not name it."""
        self._chunks = ChunkAssembler()
        self._busy = False
        self._asking = False
        """Whether a claim is not answered yet. It has room for one job, so it makes no second claim meanwhile."""

    def connected(self) -> list[Frame]:
        """What has to be sent on a new connection. A job of an earlier one is lost."""
        self.registered, self._busy, self._asking, self._chunks = False, False, False, ChunkAssembler()
        return [hub.register(self.worker_id, self._services)]

    def receive(self, data: str | bytes) -> tuple[list[Frame], Assignment | None]:
        """Take one frame: what has to be sent at once, and the job to play where one was given."""
        frame = hub.parsed(data)
        match self._chunks.feed(frame) if frame is not None else None:
            case {"type": "worker_registered"}:
                self.registered = True
            case {"type": "job_available", "job_id": str(job_id)} if not (self._busy or self._asking):
                self._asking = True
                self._offered = {job_id: str(frame.get("job_type") or "") if frame else ""}
                return [hub.claim(self.worker_id, job_id)], None
            case {"type": "job_assigned", "job_id": str(job_id), "params": payload}:
                self._busy, self._asking = True, False
                return [], Assignment(job_id, payload, self._offered.get(job_id, ""))
            case {"type": "error"} if not self._busy:
                # A claim was rejected: who does not report idle is not offered anything again.
                self._asking = False
                return [hub.worker_status(self.worker_id, "idle")], None
        return [], None

    def play(self, job: Assignment) -> Iterator[Frame | float]:
        """A job from its beginning to its end: frames to send, and seconds to wait before the next one."""
        self._attempts[job.job_id] += 1
        with self._journal.run(self.worker_id, job.job_id, job.service) as run:
            last = yield from self._script(job, run)
        yield last
        self._busy = False
        yield hub.worker_status(self.worker_id, "idle")

    def _script(self, job: Assignment, run: Run) -> Generator[Frame | float, None, Frame]:
        """What the script has to send; answers the job's end, which is sent when the run is over."""
        try:
            steps = steps_of(job.payload)
        except ValueError as error:
            run.failed()
            return hub.fail(self.worker_id, job.job_id, str(error))
        result: Any = {"status": "success"}
        for step in steps:
            yield from self._step(job, step, run)
            if step.fail is not None and step.fails(self._attempt_at(job.job_id)):
                run.failed()
                return hub.fail(self.worker_id, job.job_id, str(step.fail))
            if step.hang:
                yield math.inf
            result = result if step.result is msgspec.UNSET else step.result
        run.completed(result)
        return hub.complete(self.worker_id, job.job_id, result)

    def _attempt_at(self, job_id: str) -> int:
        return max(self._attempts[job_id], self._journal.begun(job_id))

    def _step(self, job: Assignment, step: Step, run: Run) -> Iterator[Frame | float]:
        if step.sleep_ms is not None:
            yield step.sleep_ms / 1000
        if step.progress is not None:
            run.step(step.progress)
            yield hub.progress(self.worker_id, job.job_id, step, time.time())

    def heartbeat(self) -> Frame:
        """That it is still there."""
        return hub.heartbeat(self.worker_id, "busy" if self._busy else "idle")


class HubWorker(Background):
    """A worker over asyncio. As a context it works, through lost connections, until the context ends."""

    def __init__(
        self,
        ws_url: str,
        worker_id: str,
        *,
        services: tuple[str, ...] = ("simulation",),
        attempts: Counter[str] | None = None,
        token: str | None = None,
        first_beat_s: float = 0.0,
        journal: Journal | None = None,
    ) -> None:
        super().__init__()
        attempts = Counter() if attempts is None else attempts
        self.session: Final = WorkerSession(worker_id, list(services), attempts, journal)
        self._url = hub.websocket_url(ws_url, self.session.path, token)
        self._first_beat_s = first_beat_s
        self._lost = asyncio.Event()
        self._socket = Socket(self._received, lambda *_: self._lost.set(), name=worker_id)
        self._sending: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                with contextlib.suppress(Unreachable):
                    self._lost.clear()
                    await self._socket.open(self._url)
                    await self._serve()
                self.ready.clear()
                await asyncio.sleep(RECONNECT_S)
        finally:
            await self._socket.close()

    async def _serve(self) -> None:
        """Until the connection is lost."""
        for frame in self.session.connected():
            await self._socket.send_json(frame)
        heart = asyncio.create_task(self._beat())
        try:
            await self._lost.wait()
        finally:
            await called_off(heart, *self._sending)

    def _received(self, data: str | bytes) -> None:
        frames, job = self.session.receive(data)
        if self.session.registered:
            self.ready.set()
        if frames or job:
            task = asyncio.create_task(self._send(frames, job), name=f"{self.session.worker_id} answers")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, frames: list[Frame], job: Assignment | None) -> None:
        for frame in frames:
            await self._socket.send_json(frame)
        for part in self.session.play(job) if job else ():
            if isinstance(part, float):
                await (asyncio.Event().wait() if part == math.inf else asyncio.sleep(part))
            else:
                await self._socket.send_json(part)

    async def _beat(self) -> None:
        await asyncio.sleep(self._first_beat_s)
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._socket.send_json(self.session.heartbeat())


async def work(
    url: str,
    count: int,
    services: list[str],
    token: str | None = None,
    *,
    first: int = 1,
    named: str = "hub-worker",
    journal: Journal,
) -> None:
    """Run that many workers, numbered from `first`; writes `workers_ready` to stderr when all are registered.

    Their heartbeats are spread, as those of workers that nobody started together: each makes the hub read every job.
    """
    attempts: Counter[str] = Counter()
    workers = [
        HubWorker(
            url,
            f"{named}-{number}",
            services=tuple(services),
            attempts=attempts,
            token=token,
            first_beat_s=HEARTBEAT_S * (number - first + 1) / count,
            journal=journal,
        )
        for number in range(first, first + count)
    ]
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.follow())
        for worker in workers:
            await worker.ready.wait()
        print(f"workers_ready count={count}", file=sys.stderr, flush=True)  # noqa: T201 - the line that a start waits for


@click.command(help="Workers of a hub that play the script in the payload.")
@click.option("--url", required=True, help="The hub: ws://host:port")
@click.option("--count", type=click.IntRange(1, 1000), default=48, show_default=True, help="How many workers.")
@click.option("--service", "services", multiple=True, default=["simulation"], show_default=True, help="What they take.")
@click.option("--token", envvar="WEBSOCKET_AUTH_TOKEN", help="The token that the hub demands.")
@click.option("--first", type=int, default=1, show_default=True, help="The number of the first worker.")
@click.option("--journal", type=click.Path(path_type=Path), help="A folder for the journal of what they run.")
@click.option("--named", default="hub-worker", show_default=True, help="How their names begin.")
def main(
    url: str,
    count: int,
    services: tuple[str, ...],
    token: str | None,
    first: int,
    journal: Path | None,
    named: str,
) -> None:
    """Run until told to stop."""
    written = journal_in(journal, f"hub-workers-{first}")
    with contextlib.suppress(KeyboardInterrupt):
        working = work(url.rstrip("/"), count, list(services), token, first=first, named=named, journal=written)
        asyncio.run(working)


if __name__ == "__main__":
    main()
