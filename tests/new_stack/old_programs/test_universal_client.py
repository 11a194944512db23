"""The universal client of the first new stack lives its whole life on our server, in each of its modes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.new_stack.api.conftest import StartApi
from tests.new_stack.old_programs.universal_client import Mode, Progress, RefusedError, UniversalClient
from tests.new_stack.worker.conftest import StartWorker, at_work

MODES: list[Mode] = ["websocket", "http", "auto"]
SCRIPT = {"simulate": [{"progress": 50, "message": "half"}, {"result": {"ok": True}}]}
ONCE_AND_FOR_ALL = {"simulate": [{"fail": "no memory"}]}
LONG = {"simulate": [{"progress": 10}, {"hang": True}]}
OWN_FIELDS = {
    "requirements": {"gpu": True},
    "customer_id": "customer-7",
    "workflow_id": "flow-1",
    "workflow_priority": 5,
    "workflow_datetime": 1795652717069,
    "step_number": 2,
}


def job(payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"service_required": "simulation", "priority": 3, "payload": payload, **more}


async def steps_of(client: UniversalClient, job_id: str) -> list[Progress]:
    return [step async for step in client.follow(job_id)]


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_is_submitted_followed_and_read(mode: Mode, start_api: StartApi, start_worker: StartWorker) -> None:
    api = await start_api()
    async with UniversalClient(api.base, mode) as client:
        job_id = await client.submit_job(**job(SCRIPT))
        pending = await client.get_job_status(job_id)
        assert pending is not None
        assert (pending.id, pending.service_required, pending.priority, pending.status) == (
            job_id,
            "simulation",
            3,
            "pending",
        )
        following = asyncio.create_task(steps_of(client, job_id))
        await client.until_subscribed(job_id)
        await start_worker()
        steps = await following
        assert ("50", "half") in [(step.data.progress, step.data.message) for step in steps]
        assert steps[-1].data.status == "completed"
        done = await client.get_job_status(job_id)
        assert done is not None
        assert (done.status, done.worker_id) == ("completed", "w1")
        assert done.assigned_at is not None
        assert done.completed_at is not None
        assert done.completed_at >= done.assigned_at >= done.created_at


@pytest.mark.parametrize("mode", MODES)
async def test_a_failed_job_ends_its_progress(mode: Mode, start_api: StartApi, start_worker: StartWorker) -> None:
    api = await start_api()
    await start_worker()
    async with UniversalClient(api.base, mode) as client:
        job_id = await client.submit_job(**job(ONCE_AND_FOR_ALL, max_retries=0))
        steps = await steps_of(client, job_id)
        assert (steps[-1].data.status, steps[-1].data.message) == ("failed", "no memory")
        failed = await client.get_job_status(job_id)
        assert failed is not None
        assert failed.status == "failed"


@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_job_ends_its_progress_too(
    mode: Mode, start_api: StartApi, start_worker: StartWorker
) -> None:
    api = await start_api()
    await start_worker()
    async with UniversalClient(api.base, mode) as client:
        job_id = await client.submit_job(**job(LONG))
        await at_work(api.queue, job_id)
        running = await client.get_job_status(job_id)
        assert running is not None
        assert running.status == "in_progress"
        await api.queue.cancel(job_id, "changed my mind")
        steps = await steps_of(client, job_id)
        assert steps[-1].data.status == "failed"
        assert "changed my mind" in (steps[-1].data.message or "")


@pytest.mark.parametrize("mode", MODES)
async def test_its_own_fields_are_kept_and_shown(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with UniversalClient(api.base, mode) as client:
        job_id = await client.submit_job(**job({}, **OWN_FIELDS))
        kept = await client.get_job_status(job_id)
        assert kept is not None
        assert (kept.customer_id, kept.requirements) == ("customer-7", {"gpu": True})
        shown = await api.get(f"/api/jobs/{job_id}")
        assert {name: shown["extra"][name] for name in OWN_FIELDS} == OWN_FIELDS


@pytest.mark.parametrize("mode", ["http", "auto"])
async def test_an_unknown_job_is_none(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with UniversalClient(api.base, mode) as client:
        assert await client.get_job_status("nosuch") is None


async def test_an_unknown_job_is_an_error_over_a_websocket(start_api: StartApi) -> None:
    api = await start_api()
    async with UniversalClient(api.base, "websocket") as client:
        with pytest.raises(RefusedError, match="Job nosuch not found"):
            await client.get_job_status("nosuch")


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_comes_back_follows_its_job_to_the_end(
    mode: Mode, start_api: StartApi, start_worker: StartWorker
) -> None:
    api = await start_api()
    async with UniversalClient(api.base, mode) as client:
        job_id = await client.submit_job(**job(SCRIPT))
    async with UniversalClient(api.base, mode) as client:
        following = asyncio.create_task(steps_of(client, job_id))
        await client.until_subscribed(job_id)
        await start_worker()
        assert (await following)[-1].data.status == "completed"


@pytest.mark.parametrize("mode", MODES)
async def test_its_own_id_is_taken(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with UniversalClient(api.base, mode) as client:
        assert await client.submit_job(**job({}, id="mine")) == "mine"


@pytest.mark.parametrize("mode", MODES)
async def test_a_refusal_is_an_error_in_text(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with UniversalClient(api.base, mode) as client:
        with pytest.raises(RefusedError, match="priority"):
            await client.submit_job(**job({}) | {"priority": "high"})


@pytest.mark.parametrize("mode", MODES)
async def test_two_requests_at_once_get_each_its_own_answer(mode: Mode, start_api: StartApi) -> None:
    api = await start_api()
    async with UniversalClient(api.base, mode) as client:
        ids = [f"job-{number}" for number in range(20)]
        assert await asyncio.gather(*(client.submit_job(**job({}, id=name)) for name in ids)) == ids
