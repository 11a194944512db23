"""No mutant is drawn of what no run carries out, and of nothing else for that reason."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from harness.defects.defect import source_of_stack
from harness.defects.mutants.sampling import NOT_RUN
from harness.processes import Processes, start_valkey
from harness.testing.waiting import until
from new_stack.queue import NewJob, Queue, QueueSettings
from new_stack.worker import ConnectorRegistry, EventLog, Worker, WorkerSettings
from new_stack.worker.connector_spec import parse_list

ROOT = f"{source_of_stack()}/"


@contextmanager
def carried_out() -> Iterator[set[str]]:
    """The files of the stack of which a function is called meanwhile, in any thread."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(ROOT):
            found.add(code.co_filename.removeprefix(ROOT))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type] # that is how it is taken back


@pytest.fixture
def redis_url(tmp_path) -> Iterator[str]:
    with Processes(tmp_path) as processes:
        yield start_valkey(processes).url


async def test_what_every_run_carries_out_is_drawn(redis_url: str) -> None:
    with carried_out() as found:
        queue = await Queue.connect(QueueSettings(redis_url=redis_url))
        connectors = ConnectorRegistry.build(parse_list("simulation"))
        settings = WorkerSettings(queue=queue.settings, connectors=parse_list("simulation"))
        worker = Worker(settings, queue, connectors, EventLog(lambda _: None))
        task = asyncio.create_task(worker.run())
        await queue.submit(NewJob(id="a", service_required="simulation"))

        async def completed() -> bool:
            job = await queue.job("a")
            return job is not None and job.state == "completed"

        await until(completed, within=60)
        worker.stop()
        await task
        await queue.close()
    assert {"worker/attempt.py", "worker/heartbeat.py", "queue/consumer.py"} <= found
    assert sorted(file for file in found if file.startswith(NOT_RUN)) == []
