"""The hub's REST bodies, which are answered as the hub answers them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from new_stack.queue import Failed, QueueSettings

from ..conftest import ValkeyProcess
from .conftest import Api, StartApi, Work


async def test_the_hubs_body_is_answered_as_the_hub_answers(api: Api, work: Work) -> None:
    assert await api.get("/") == {"status": "ok", "message": "WebSocket Queue API is running"}
    answer = await api.post("/api/jobs", {"job_type": "simulation", "payload": {"prompt": "a dog"}, "priority": 2}, 200)
    job_id = answer["job_id"]
    assert job_id.startswith("job-rest-")
    assert answer == {
        "success": True,
        "job_id": job_id,
        "message": f"Job submitted successfully with ID: {job_id}",
    }
    pending = await api.get(f"/api/jobs/{job_id}")
    expected = {
        "status": "pending",
        "job_type": "simulation",
        "client_id": "rest-api-client",
        "worker_id": None,
        "claimed_at": None,
        "completed_at": None,
        "position": 0,
        "display_position": 1,
        "progress": None,
        "result": None,
        "error": None,
        "position_description": "Next in queue",
        "payload": {"prompt": "a dog"},
        "failures": None,
    }
    assert {name: pending[name] for name in expected} == expected
    lease = await work.claim()
    await work.progress(lease, 40)
    claimed = await api.get(f"/api/jobs/{job_id}")
    assert (claimed["status"], claimed["position"], claimed["progress"]) == ("claimed", None, 40.0)
    assert (await api.get("/api/jobs/no-such-job", 404))["detail"] == "Job with ID no-such-job not found"


def refused(kind: str, field: str | None, message: str, found: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "loc": ["body"] if field is None else ["body", field],
        "msg": message,
        "input": found,
        "url": f"https://errors.pydantic.dev/2.14/v/{kind}",
    }


REQUIRED = "Field required"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [refused("missing", "job_type", REQUIRED, {}), refused("missing", "payload", REQUIRED, {})]),
        (
            {"job_type": "simulation"},
            [refused("missing", "payload", REQUIRED, {"job_type": "simulation"})],
        ),
        (
            {"job_type": "simulation", "payload": "text"},
            [refused("dict_type", "payload", "Input should be a valid dictionary", "text")],
        ),
        ({"job_type": 5, "payload": {}}, [refused("string_type", "job_type", "Input should be a valid string", 5)]),
        (
            {"job_type": "simulation", "payload": {}, "priority": "high"},
            [
                refused(
                    "int_parsing",
                    "priority",
                    "Input should be a valid integer, unable to parse string as an integer",
                    "high",
                )
            ],
        ),
        (
            [],
            [
                refused(
                    "model_attributes_type",
                    None,
                    "Input should be a valid dictionary or object to extract fields from",
                    [],
                )
            ],
        ),
    ],
)
async def test_the_hubs_bad_bodies_are_refused_in_its_words(api: Api, body: Any, errors: list[dict[str, Any]]) -> None:
    assert (await api.post("/api/jobs", body, 422))["detail"] == errors


async def test_the_hub_is_as_lenient_as_it_was_with_what_it_does_not_read(api: Api) -> None:
    for extra in ({"priority": 99}, {"surprise": 1}, {"priority": "7"}):
        await api.post("/api/jobs", {"job_type": "simulation", "payload": {}} | extra, 200)
    assert (await api.get("/nowhere", 404))["detail"] == "Not Found"
    async with api.session.delete(f"{api.base}/api/jobs/x") as response:
        assert (response.status, (await response.json())["detail"]) == (405, "Method Not Allowed")
        assert response.headers["Allow"] == "GET"


async def test_who_waits_is_answered_when_the_job_ends_or_the_time_is_up(api: Api, work: Work) -> None:
    body = {"job_type": "simulation", "payload": {}, "wait": True, "timeout": 10}
    waiting = asyncio.create_task(api.post("/api/jobs", body, 200))
    await api.pending()
    await work.whole_job(50)
    done = await asyncio.wait_for(waiting, 8)
    assert (done["status"], done["result"], done["error"]) == ("completed", {"status": "success"}, None)

    waiting = asyncio.create_task(api.post("/api/jobs", body, 200))
    await api.pending()
    await work.queue.end(Failed(lease=await work.claim(), error="broken", retryable=False))
    done = await asyncio.wait_for(waiting, 8)
    assert (done["status"], done["error"]) == ("failed", "broken")

    late = await api.post("/api/jobs", body | {"timeout": 0.1}, 200)
    assert (late["status"], late["error"]) == ("pending", "Timeout: Job did not complete within 0.1 seconds")


async def test_who_waits_keeps_no_room_that_others_need_for_their_bodies(start_api: StartApi) -> None:
    api = await start_api(bodies_limit=3_000_000, connections_per_address=2)
    large = {"job_type": "simulation", "payload": {"image": "x" * 1_300_000}, "wait": True, "timeout": 20}
    waiting = [asyncio.create_task(api.post("/api/jobs", large, 200)) for _ in range(2)]
    await api.pending(2)
    await api.submit(payload={"image": "x" * 1_300_000})
    assert "open connections" in (await api.post("/api/jobs", large, 429))["detail"]
    assert (await api.queue.counts()).pending == 3
    for task in waiting:
        task.cancel()


async def test_to_wait_for_a_large_job_reads_it_once(
    start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings
) -> None:
    api = await start_api(msgspec.structs.replace(settings, redis_url=own_valkey.url))
    work = Work(api.queue)
    body = {"job_type": "simulation", "payload": {"image": "x" * 1_000_000}, "wait": True, "timeout": 20}
    waiting = asyncio.create_task(api.post("/api/jobs", body, 200))
    async with asyncio.timeout(10):
        while not (leases := await api.queue.claim("w")):
            await asyncio.sleep(0.01)
    before = await sent_by(api)
    for step in range(100):
        await work.progress(leases[0], step)
    await work.complete(leases[0])
    assert (await waiting)["status"] == "completed"
    assert await sent_by(api) - before < 3_000_000


async def sent_by(api: Api) -> int:
    """How many bytes Redis has sent so far."""
    stats = (await api.queue._caller.connection.call("INFO", "stats")).decode()
    return int(stats.partition("total_net_output_bytes:")[2].split()[0])
