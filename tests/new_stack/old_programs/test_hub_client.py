"""A client of the legacy hub lives its whole life on our server."""

from __future__ import annotations

from typing import Any

import pytest

from harness.testing.waiting import until
from new_stack.queue import Failed
from tests.new_stack.api.conftest import Api, StartApi
from tests.new_stack.old_programs.hub_client import Accepted, Completed, Error, HubClient, Progress, Status
from tests.new_stack.old_programs.hub_client import Failed as FailedMessage
from tests.new_stack.worker.conftest import StartWorker

SCRIPT = {"simulate": [{"progress": 50, "message": "half"}, {"result": {"ok": True}}]}
LONG = {"simulate": [{"progress": 10}, {"hang": True}]}
CLEARED = "Job failure history cleared. Job can now be assigned to any worker."


def ws_url(api: Api) -> str:
    return api.base.replace("http", "ws", 1)


async def test_a_job_is_accepted_claimed_and_completed(start_api: StartApi, start_worker: StartWorker) -> None:
    api = await start_api()
    async with HubClient(ws_url(api), "shop") as client:
        job_id = await client.submit("simulation", SCRIPT, priority=3, message_id="mine")
        assert job_id == "mine"
        await start_worker()
        completed: Completed = await client.next(Completed)
        assert (completed.job_id, completed.result) == ("mine", {"ok": True})
        kinds = [type(message) for message in client.received]
        assert kinds.index(Accepted) < kinds.index(Status) < kinds.index(Progress) < kinds.index(Completed)
        status = await client.status("mine")
        assert (status.status, status.result) == ("completed", {"ok": True})
        assert status.completed_at is not None


@pytest.mark.parametrize(
    ("payload", "given"),
    [("a cat", {"raw_payload": "a cat"}), ('{"prompt": "a cat"}', {"prompt": "a cat"})],
)
async def test_a_payload_that_is_text_is_run(payload: str, given: Any, start_api: StartApi) -> None:
    api = await start_api()
    async with HubClient(ws_url(api), "shop") as client:
        job_id = await client.submit("simulation", payload)
        assert (await api.get(f"/api/jobs/{job_id}"))["payload"] == given
        assert (await api.get(f"/api/jobs/{await api.submit(payload=payload)}"))["payload"] == given


async def test_an_id_that_is_a_number_becomes_text(start_api: StartApi, start_worker: StartWorker) -> None:
    api = await start_api()
    await start_worker()
    async with HubClient(ws_url(api), "shop") as client:
        assert await client.submit("simulation", SCRIPT, message_id=12) == "12"
        completed: Completed = await client.next(Completed)
        assert completed.job_id == "12"


@pytest.mark.parametrize("priority", [-20_000_000, 1_000_000, 2**40])
async def test_any_whole_number_is_a_priority(priority: int, start_api: StartApi) -> None:
    api = await start_api()
    async with HubClient(ws_url(api), "shop") as client:
        plain = await client.submit("simulation", {}, priority=0)
        odd = await client.submit("simulation", {}, priority=priority)
        [first] = await api.queue.claim("w1")
        assert first.job_id == (odd if priority > 0 else plain)


async def test_a_running_job_is_cancelled_and_the_asker_told_twice(
    start_api: StartApi, start_worker: StartWorker
) -> None:
    api = await start_api()
    await start_worker()
    async with HubClient(ws_url(api), "shop") as client:
        job_id = await client.submit("simulation", LONG)
        await client.next(Progress)
        await client.send("cancel_job", job_id=job_id, reason="too late")
        answers = [await client.next(Status), await client.next(Status)]
        assert {(answer.status, answer.message) for answer in answers} == {("cancelled", "Job cancelled: too late")}


async def test_a_client_that_comes_back_under_its_id_receives_the_end(
    start_api: StartApi, start_worker: StartWorker
) -> None:
    api = await start_api()
    async with HubClient(ws_url(api), "shop") as client:
        job_id = await client.submit("simulation", SCRIPT)
    async with HubClient(ws_url(api), "shop") as client:
        await start_worker()
        completed: Completed = await client.next(Completed)
        assert completed.job_id == job_id


async def test_a_job_that_failed_before_has_its_history_cleared_whatever_its_state(start_api: StartApi) -> None:
    api = await start_api()
    async with HubClient(ws_url(api), "shop") as client:
        job_id = await client.submit("simulation", {})
        [lease] = await until(lambda: api.queue.claim("w1"))
        await api.queue.end(Failed(lease=lease, error="no memory", retryable=True))
        failed: FailedMessage = await client.next(FailedMessage)
        assert failed.error == "no memory"
        await client.send("force_retry_job", job_id=job_id)
        answer: Status = await client.next(Status)
        assert (answer.status, answer.message) == ("pending", CLEARED)


async def test_an_unknown_job_is_an_error(start_api: StartApi) -> None:
    api = await start_api()
    async with HubClient(ws_url(api), "shop") as client:
        await client.send("request_job_status", job_id="nosuch")
        error: Error = await client.next(Error)
        assert error.error == "Job nosuch not found"
