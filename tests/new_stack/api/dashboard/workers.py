"""The workers of the dashboard's stack: they play scripts and write down what they ran, beside the queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from harness.protocols.events import EventKind
from harness.workers.journal import Journal, NoJournal, entries_in, journal_in
from new_stack.queue import Queue, QueueSettings
from new_stack.worker import ConnectorRegistry, EventLog, JobContext, JobFailed, Worker, WorkerSettings
from new_stack.worker.connector_spec import ConnectorSpec
from new_stack.worker.connectors.simulation import SimulationConnector, SimulationSettings

CONNECTOR: Final = f"{__name__}:JournaledSimulation"


class JournaledSettings(SimulationSettings, frozen=True, kw_only=True):
    """Where to write."""

    journal: str = ""
    worker: str = ""


class JournaledSimulation(SimulationConnector):
    """The simulation with an execution journal: what its jobs did does not rest on the stack's word.

    A job's `divide_by` is what a connector stumbles over.
    """

    Settings = JournaledSettings
    _journal: Journal = NoJournal()

    async def open(self) -> None:
        """Open the journal."""
        self._journal = journal_in(self.settings.journal, self.settings.worker)

    async def run(self, job: JobContext) -> Any:
        """Play the script, and write down how it ended."""
        with self._journal.run(self.settings.worker, job.job_id, job.service, job.attempt) as run:
            try:
                if (divisor := job.payload.get("divide_by")) is not None:
                    return 1 / divisor
                result = await super().run(job)
            except (JobFailed, ZeroDivisionError):
                run.failed()
                raise
            run.completed(result)
            return result


def ends_in(journal: Path) -> dict[str, Counter[str]]:
    """How many jobs of each service ended how, by the journal: `completed`, or `failed` in every attempt."""
    services: dict[str, str] = {}
    ends: dict[str, str] = {}
    for entry in entries_in(journal):
        if entry.kind is EventKind.STARTED:
            services[entry.job] = entry.service
        elif entry.kind is EventKind.FINISHED and entry.of is not EventKind.RELEASED:
            ends[entry.job] = "completed" if entry.of is EventKind.COMPLETED else "failed"
    found = {service: Counter[str]() for service in services.values()}
    for job, end in ends.items():
        found[services[job]][end] += 1
    return found


@asynccontextmanager
async def fleet(redis: QueueSettings, count: int, service: str, journal: Path) -> AsyncIterator[None]:
    """So many workers of one place each, in this process, for one service."""
    async with AsyncExitStack() as stack:
        for number in range(count):
            queue = await Queue.connect(redis)
            stack.push_async_callback(queue.close)
            spec = ConnectorSpec(name="simulation", services=(service,))
            name = f"{service}-{number:02d}"
            connector = JournaledSimulation(JournaledSettings(journal=str(journal), worker=name))
            connectors = ConnectorRegistry([(spec, connector)])
            settings = WorkerSettings(queue=redis, worker_id=name)
            worker = Worker(settings, queue, connectors, EventLog(lambda _: None))
            task = asyncio.create_task(worker.run())
            stack.push_async_callback(_stopped, worker, task)
        yield


async def _stopped(worker: Worker, task: asyncio.Task[int]) -> None:
    worker.stop()
    await task


async def sent_at(redis: QueueSettings, job_ids: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Of each job the steps, and when its worker sent each, in ms since the epoch by this machine's clock."""
    queue = await Queue.connect(redis)
    try:
        histories = [await queue.history(job_id) for job_id in job_ids]
    finally:
        await queue.close()
    steps = ([(event.progress or 0, event.details) for event in events if event.details] for events in histories)
    return {
        job_id: [(progress, 1000 * details["sent_at"]) for progress, details in of_job]
        for job_id, of_job in zip(job_ids, steps, strict=True)
    }
