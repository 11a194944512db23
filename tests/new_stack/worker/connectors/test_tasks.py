"""Plain functions as jobs: their arguments, their results, and the worker that runs them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from new_stack.queue import NewJob, Queue
from new_stack.settings import SettingsError
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.connector_spec import parse_list
from new_stack.worker.connectors.tasks import TaskConnector, TaskSettings, task
from tests.new_stack.worker.conftest import StartProcess, StartWorker, ended

from .given_tasks import Thumbnail, blocking, thumbnail

MODULE = "tests.new_stack.worker.connectors.given_tasks"


async def submit(queue: Queue, service: str, payload: dict[str, Any], max_retries: int = 0) -> str:
    job = NewJob(service_required=service, payload=msgspec.Raw(msgspec.json.encode(payload)), max_retries=max_retries)
    return (await queue.submit(job)).job_id


def test_a_task_says_which_job_it_is() -> None:
    assert thumbnail.job(size=3) == {"service": "thumbnail", "payload": {"size": 3}, "max_retries": 3}
    assert blocking.job(tags=["a"]) == {"service": "blocking", "payload": {"tags": ["a"]}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"size": "three"}, r"Expected `int`, got `str` - at `\$.size`"), ({}, "size"), ({"size": 1, "hue": 2}, "hue")],
)
def test_a_wrong_argument_is_named_before_anything_is_submitted(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        thumbnail.job(**arguments)


async def test_called_it_is_the_function_itself() -> None:
    assert blocking() == {"tags": ["seen"], "in_loop": True}


def test_parameters_without_a_name_are_refused() -> None:
    with pytest.raises(TypeError, match="have names"):

        @task()
        async def several(*sizes: int) -> None: ...


def test_a_worker_serves_the_tasks_of_its_modules() -> None:
    registry = ConnectorRegistry.build(parse_list(f"tasks:module={MODULE}"))
    assert registry.services == ("blocking", "broken", "thumbnail")


@pytest.mark.parametrize(
    ("module", "said"), [("no.such.module", "could not be imported"), ("json", "has no function with @task")]
)
def test_a_module_without_tasks_is_refused(module: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        TaskConnector(TaskSettings(module=module))


async def test_jobs_are_run_by_functions(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker(TaskConnector(TaskSettings(module=MODULE)))
    first = await submit(queue, "thumbnail", {"size": 64})
    done = await ended(queue, first)
    assert done.state == "completed"
    assert msgspec.json.decode(done.result, type=Thumbnail) == Thumbnail(64, "small")  # type: ignore[arg-type]
    assert [event.progress for event in await queue.history(first) if event.kind == "progress"] == [50]


async def test_a_function_without_async_runs_in_a_thread_with_arguments_of_its_own(
    queue: Queue, start_worker: StartWorker
) -> None:
    await start_worker(TaskConnector(TaskSettings(module=MODULE)))
    for _ in range(2):
        done = await ended(queue, await submit(queue, "blocking", {}))
        assert msgspec.json.decode(done.result or b"") == {"tags": ["seen"], "in_loop": False}


async def test_what_fails_is_told(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker(TaskConnector(TaskSettings(module=MODULE)))
    wrong = await ended(queue, await submit(queue, "thumbnail", {"size": "big"}, max_retries=5))
    assert (wrong.state, wrong.failures) == ("failed", 1)
    assert "at `$.size`" in str(wrong.error)
    broken = await ended(queue, await submit(queue, "broken", {}))
    assert "the model is gone" in str(broken.error)


async def test_the_command_takes_a_module(queue: Queue, start_process: StartProcess) -> None:
    start_process("--tasks", MODULE, WORKER_CONNECTORS="")
    done = await ended(queue, await submit(queue, "thumbnail", {"size": 1}), within=20)
    assert done.state == "completed"
