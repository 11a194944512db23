"""Workers in this process and in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import Job, NewJob, Queue, QueueSettings, QueueUnavailable
from new_stack.worker import Connector, ConnectorRegistry, EventLog, JobContext, Worker, WorkerSettings
from new_stack.worker.connector_spec import ConnectorSpec
from new_stack.worker.connectors.simulation import SimulationConnector, SimulationSettings

ROOT = Path(__file__).parents[3]


async def until_blocked(queue: Queue) -> None:
    """Return once a client of this Redis waits in a blocking command."""

    async def blocked() -> bool:
        clients = (await queue._caller.connection.call("INFO", "clients")).decode()
        return "blocked_clients:0" not in clients

    await until(blocked)


async def ended(queue: Queue, job_id: str, *, within: float = 10.0) -> Job:
    """The job once it has ended."""

    async def fact() -> Job | None:
        with suppress(QueueUnavailable):  # tests that take Redis away ask over connections that broke
            job = await queue.job(job_id)
            return job if job is not None and job.state in {"completed", "failed", "cancelled"} else None
        return None

    return await until(fact, within=within)


async def in_state(queue: Queue, job_id: str, state: str, *, within: float = 10.0) -> Job:
    """The job once it is in that state."""

    async def fact() -> Job | None:
        job = await queue.job(job_id)
        return job if job is not None and job.state == state else None

    return await until(fact, within=within)


async def at_work(queue: Queue, job_id: str) -> None:
    """Once the job's own code runs: a script that begins with progress has told some. (Claimed is not begun yet.)"""

    async def fact() -> bool:
        job = await queue.job(job_id)
        return job is not None and job.progress is not None

    await until(fact)


async def simulate(queue: Queue, *steps: dict[str, Any], **more: Any) -> str:
    """Submit a job with a script; its id."""
    payload = msgspec.Raw(msgspec.json.encode({"simulate": list(steps)}))
    return (await queue.submit(NewJob(payload=payload, **more))).job_id


class Scripted(Connector):
    """Runs what the test gives it."""

    def __init__(self, run: Any) -> None:
        super().__init__(None)
        self._run = run

    async def run(self, job: JobContext) -> Any:
        return await self._run(job)


def stubborn(release: asyncio.Event) -> Scripted:
    """One that goes on, however often it is called off, until it is released."""

    async def run(job: JobContext) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    return Scripted(run)


async def kinds(queue: Queue, job_id: str) -> list[str]:
    return [event.kind.value for event in await queue.history(job_id)]


class RunningWorker:
    """A worker in this process, with what it logged."""

    def __init__(self, worker: Worker, settings: WorkerSettings, lines: list[dict[str, Any]]) -> None:
        self.worker = worker
        self.settings = settings
        self.lines = lines
        self.task = asyncio.create_task(worker.run())

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    async def stop(self) -> int:
        self.worker.stop()
        return await self.task


StartWorker = Callable[..., Awaitable[RunningWorker]]


@pytest.fixture
async def start_worker(settings: QueueSettings) -> AsyncIterator[StartWorker]:
    """Start workers: `await start_worker(connector, max_concurrent_jobs=3, queue={"lease_ms": 500})`."""
    running: list[RunningWorker] = []
    queues: list[Queue] = []

    async def start(
        connector: Connector | None = None, *, queue: dict[str, Any] | None = None, **changes: Any
    ) -> RunningWorker:
        own = msgspec.structs.replace(settings, **(queue or {}))
        opened = await Queue.connect(own)
        queues.append(opened)
        changes.setdefault("worker_id", f"w{len(running) + 1}")
        worker_settings = WorkerSettings(queue=own, **changes)
        lines: list[dict[str, Any]] = []
        log = EventLog(lambda line: lines.append(msgspec.json.decode(line)))
        chosen = connector or SimulationConnector(SimulationSettings())
        connectors = ConnectorRegistry([(ConnectorSpec(name="test", services=("*",)), chosen)])
        running.append(RunningWorker(Worker(worker_settings, opened, connectors, log), worker_settings, lines))
        await until(lambda: _ready(running[-1]))
        return running[-1]

    yield start
    for one in running:
        one.task.cancel()
    await asyncio.gather(*(one.task for one in running), return_exceptions=True)
    for opened in queues:
        await opened.close()


async def _ready(one: RunningWorker) -> bool:
    if one.task.done():
        one.task.result()
    return bool(one.logged("worker_ready"))


class WorkerProcess:
    """`python -m new_stack.worker` as an operator runs it."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - the process and its log live until `close`
        self.process = subprocess.Popen(
            [sys.executable, "-m", "new_stack.worker", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
            stderr=self._stderr,
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exit_status(self, *, within: float = 15.0) -> int:
        await until(lambda: self.process.poll() is not None, within=within)
        assert self.process.returncode is not None
        return self.process.returncode

    def said(self) -> str:
        """Its standard error so far."""
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one event so far."""
        lines = [line for line in self.said().split("\n")[:-1] if line.startswith("{")]
        return [line for line in map(msgspec.json.decode, lines) if line["event"] == event]

    async def until_logged(self, event: str) -> dict[str, Any]:
        """The first log line of an event."""
        found: list[dict[str, Any]] = await until(lambda: self.logged(event), within=20)
        return found[0]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._stderr.close()


StartProcess = Callable[..., WorkerProcess]


@pytest.fixture
def start_process(settings: QueueSettings) -> Iterator[StartProcess]:
    """Start worker processes: `start_process("--concurrency", "20", WORKER_SHUTDOWN_GRACE_MS="500")`."""
    started: list[WorkerProcess] = []

    def start(*arguments: str, redis_url: str | None = None, **environment: str) -> WorkerProcess:
        options = ["--redis", redis_url or settings.redis_url, "--prefix", settings.prefix, *arguments]
        if "--connector" not in arguments:
            environment = {"WORKER_CONNECTORS": "simulation:services=*"} | environment
        started.append(WorkerProcess(options, environment))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Line:
    """A line to Redis that can go deaf: what Redis says then gets lost, what it is told does not. `cut` breaks it."""

    def __init__(self, redis_url: str) -> None:
        self._to = int(redis_url.rpartition(":")[2].partition("/")[0])
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.deaf = False
        self.lost = 0
        """How many pieces were lost while it was deaf."""

    async def open(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends |= {writer, there_writer}
        await asyncio.gather(
            self._pass(reader, there_writer, lossy=False), self._pass(there_reader, writer, lossy=True)
        )
        self._ends -= {writer, there_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lossy: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if lossy and self.deaf:
                    self.lost += 1
                else:
                    writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def line(settings: QueueSettings) -> AsyncIterator[Line]:
    """A line to the session's Redis for one worker to use."""
    opened = Line(settings.redis_url)
    yield opened
    await opened.close()
