"""Connectors under a worker: from the queue to the back end and back."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import NewJob, Queue
from tests.new_stack.worker.conftest import StartWorker, ended, in_state, start_worker
from tests.new_stack.worker.connectors.conftest import Open, Serve
from tests.new_stack.worker.connectors.test_comfyui import IMAGE, WORKFLOW, Comfy
from tests.new_stack.worker.connectors.test_comfyui import connected as to_comfy
from tests.new_stack.worker.connectors.test_rest_async import Bureau
from tests.new_stack.worker.connectors.test_rest_async import connected as to_bureau

__all__ = ["start_worker"]

PICTURE = NewJob(service_required="pictures", payload=msgspec.Raw(msgspec.json.encode({"workflow": WORKFLOW})))


async def test_a_workflow_submitted_to_the_queue_comes_back_with_its_files(
    serve: Serve, connect: Open, queue: Queue, start_worker: StartWorker
) -> None:
    await start_worker(await to_comfy(await serve(Comfy().app), connect))
    job = await ended(queue, (await queue.submit(PICTURE)).job_id)
    assert job.state == "completed"
    assert msgspec.json.decode(job.result or b"null")["outputs"]["3"]["images"] == [IMAGE]
    history = await queue.history(job.id)
    assert [event.kind for event in history[-2:]] == ["progress", "completed"]
    assert history[-2].progress == 75


async def test_cancelling_a_job_interrupts_its_workflow(
    serve: Serve, connect: Open, queue: Queue, start_worker: StartWorker
) -> None:
    comfy = Comfy("hang")
    await start_worker(await to_comfy(await serve(comfy.app), connect))
    job_id = (await queue.submit(PICTURE)).job_id
    await comfy.at_work.wait()
    await queue.cancel(job_id)
    await until(lambda: comfy.interrupts)


async def test_a_job_that_takes_too_long_is_cancelled_at_its_back_end(
    serve: Serve, connect: Open, queue: Queue, start_worker: StartWorker
) -> None:
    bureau = Bureau({"status": "running", "progress": 5})
    server = await serve(bureau.app)
    more = f",cancel_url={server.make_url('/jobs')}/{{id}},cancel_method=DELETE"
    await start_worker(await to_bureau(server, connect, more), job_timeout_minutes=0.3 / 60)
    job = await ended(queue, (await queue.submit(NewJob(max_retries=0))).job_id)
    assert (job.state, job.error, job.progress) == ("failed", "timed out after 0.3 s", 5)
    assert bureau.cancelled == ["42"]


@pytest.mark.parametrize("grace_ms", [0, 10_000])
async def test_a_worker_that_leaves_lets_its_back_end_finish_or_stops_it(
    grace_ms: int, serve: Serve, connect: Open, queue: Queue, start_worker: StartWorker
) -> None:
    comfy = Comfy("hang")
    connector = await to_comfy(await serve(comfy.app), connect)
    worker = await start_worker(connector, shutdown_grace_ms=grace_ms)
    job_id = (await queue.submit(PICTURE)).job_id
    await comfy.at_work.wait()
    leaving = asyncio.create_task(worker.stop())
    await until(lambda: comfy.interrupts if not grace_ms else worker.logged("worker_stopping"))
    comfy.go_on.set()
    assert await leaving == 0
    if grace_ms:
        assert (await in_state(queue, job_id, "completed")).attempt == 1
    else:
        assert (await in_state(queue, job_id, "pending")).failures == 0
        assert len(comfy.interrupts) == 1
