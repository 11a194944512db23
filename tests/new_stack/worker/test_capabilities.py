"""What workers tell of themselves: machine, operator, connectors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.testing.waiting import until
from new_stack.queue import Queue
from new_stack.settings import SettingsError
from new_stack.worker import Connector, JobContext, WorkerSettings
from new_stack.worker.capabilities import parse
from tests.new_stack.worker.conftest import StartProcess, StartWorker

STATED = '{"hardware": {"gpu": "A100", "gpu_memory_mb": 80000}, "region": "eu"}'


class Knowing(Connector):
    """Tells its models, and a region of its own."""

    def capabilities(self) -> dict[str, Any]:
        return {"models": ["sdxl"], "region": "us"}

    async def run(self, job: JobContext) -> None:
        raise NotImplementedError


async def test_what_machine_operator_and_connectors_say_is_told_and_the_operator_wins(
    queue: Queue, start_worker: StartWorker
) -> None:
    await start_worker(Knowing(None), capabilities=parse(STATED))
    [worker] = await queue.workers()
    told = worker.report.capabilities
    assert (told["models"], told["region"]) == (["sdxl"], "eu")
    assert told["hardware"].items() >= {"gpu": "A100", "gpu_memory_mb": 80000, "cpu_cores": os.cpu_count()}.items()
    assert told["hardware"]["ram_gb"] > 0.1


async def test_a_worker_process_reads_them_from_a_file(
    queue: Queue, start_process: StartProcess, tmp_path: Path
) -> None:
    file = tmp_path / "capabilities.json"
    file.write_text(STATED)
    start_process(WORKER_CAPABILITIES=str(file))
    [worker] = await until(queue.workers)
    assert worker.report.capabilities["region"] == "eu"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not a JSON object"),
        ("/nowhere/at/all", "the file /nowhere/at/all cannot be read"),
        ('{"models": "' + "x" * 9000 + '"}', "the limit is 8192"),
    ],
)
def test_what_is_wrong_with_them_is_told(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match="WORKER_CAPABILITIES") as caught:
        WorkerSettings.from_environment({"WORKER_CONNECTORS": "simulation", "WORKER_CAPABILITIES": text})
    assert said in str(caught.value)


async def test_a_connector_that_tells_too_much_ends_the_worker_with_a_sentence(
    start_worker: StartWorker,
) -> None:
    class Chatty(Knowing):
        def capabilities(self) -> dict[str, Any]:
            return {"models": ["m" * 1000] * 10}

    with pytest.raises(SettingsError, match="the limit is 8192"):
        await start_worker(Chatty(None))
