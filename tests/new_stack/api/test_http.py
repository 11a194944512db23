"""The modern HTTP API, and the hub's REST bodies beside it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from new_stack.queue import Failed, ProgressUpdate, QueueSettings, QueueUnavailable, WorkerReport
from new_stack.queue.events import EventKind

from ..conftest import ValkeyProcess
from .conftest import HUB_FIELDS, Api, StartApi, Work


async def test_a_submission_is_created_where_its_location_says(api: Api) -> None:
    body = {"service_required": "simulation", "payload": {"a": [1]}, "priority": 3, "id": "order 1 ä", "client_id": "c"}
    async with api.session.post(f"{api.base}/api/jobs", json=body) as response:
        assert response.status == 201
        created = await response.json()
        location = response.headers["Location"]
    assert set(created) >= HUB_FIELDS
    assert (created["status"], created["position"], created["display_position"]) == ("pending", 0, 1)
    shown = await api.get(location)
    assert shown.pop("job")["id"] == "order 1 ä"
    assert shown == created


async def test_a_submission_without_an_id_reads_nothing_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Redis breaks right after the job is stored, a 503 would make its caller submit it a second time."""

    async def gone(*_: object, **__: object) -> None:
        raise QueueUnavailable("Redis cannot be reached")

    monkeypatch.setattr(api.queue._caller, "read", gone)
    created = await api.post("/api/jobs", {"service_required": "simulation"})
    assert (created["status"], created["position"]) == ("pending", 0)
    assert (await api.post("/api/jobs", {"job_type": "simulation", "payload": {}}, 200))["success"]
    monkeypatch.undo()
    assert (await api.queue.counts()).pending == 2


async def test_the_same_submission_again_is_the_same_job_and_another_is_a_conflict(api: Api) -> None:
    body = {"service_required": "simulation", "payload": {"a": 1}, "id": "order-1"}
    first = await api.post("/api/jobs", body)
    assert await api.post("/api/jobs", body, 200) == first
    problem = await api.post("/api/jobs", body | {"payload": {"a": 2}}, 409)
    assert "order-1" in problem["detail"]
    asks = body | {"id": "order-2", "requirements": {"region": "eu"}}
    first = await api.post("/api/jobs", asks | {"sent_at": 1})
    assert await api.post("/api/jobs", asks | {"sent_at": 2}, 200) == first
    assert first["extra"] == {"requirements": {"region": "eu"}, "sent_at": 1}
    await api.post("/api/jobs", asks | {"requirements": {"region": "us"}}, 409)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"service_required": ""}, "service_required"),
        ({"service_required": 7}, "service_required"),
        ({"job_type": "other"}, "job_type"),
        ({"payload": [1]}, "payload"),
        ({"payload": 5}, "payload"),
        ({"payload": None}, "payload"),
        ({"priority": 2.5}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": None}, "priority"),
        ({"priority": 2**53 + 1}, "priority"),
        ({"id": ""}, "id"),
        ({"id": 5}, "id"),
        ({"id": "x" * 257}, "id"),
        ({"max_retries": -1}, "max_retries"),
        ({"client_id": 5}, "client_id"),
    ],
)
async def test_bad_input_is_a_problem_that_names_the_field_and_nothing_is_stored(
    api: Api, change: dict[str, Any], field: str
) -> None:
    body = {"service_required": "simulation", "payload": {}} | change
    problem = await api.post("/api/jobs", body, 422)
    assert problem["errors"][0]["field"] == field
    assert problem["status"] == 422
    assert (await api.queue.counts()).pending == 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"service_required": "a", "payload": {"a": NaN}}', b"[" * 5000]
)
async def test_what_is_no_json_is_a_problem(api: Api, body: bytes) -> None:
    async with api.session.post(f"{api.base}/api/jobs", data=body) as response:
        assert response.status == 400
        assert response.content_type == "application/problem+json"
        assert "not JSON" in (await response.json())["detail"]


async def test_a_body_beyond_the_limit_is_refused_and_the_server_lives(start_api: StartApi) -> None:
    api = await start_api(body_limit=100_000)
    async with api.session.post(f"{api.base}/api/jobs", data=b"x" * 200_000) as response:
        assert response.status == 413
        assert response.content_type == "application/problem+json"
    await api.submit()


async def test_a_payload_beyond_the_queues_limit_names_the_limit(api: Api) -> None:
    problem = await api.post("/api/jobs", {"service_required": "a", "payload": {"x": "y" * 10_000_001}}, 422)
    assert problem["errors"][0]["field"] == "payload"


async def test_a_batch_is_answered_one_by_one(api: Api) -> None:
    good = {"service_required": "simulation", "payload": {}}
    bodies = [good | {"id": "a"}, good | {"priority": "x"}, good | {"id": "a"}, good | {"id": "a", "priority": 1}, 7]
    items = await api.post("/api/jobs", bodies, 200)
    assert [item["status"] for item in items] == [201, 422, 200, 409, 422]
    assert items[0]["job"] == {"job_id": "a", "status": "pending", "created": True, "position": 1}
    assert items[1]["problem"]["errors"][0]["field"] == "priority"
    assert (await api.queue.counts()).pending == 1


async def test_a_batch_beyond_the_limit_is_refused_whole(start_api: StartApi) -> None:
    api = await start_api(batch_limit=3)
    problem = await api.post("/api/jobs", [{"service_required": "a"}] * 4, 422)
    assert "3" in problem["detail"]
    assert (await api.queue.counts()).pending == 0


async def test_jobs_are_listed_newest_first_filtered_and_by_pages(api: Api, work: Work) -> None:
    ids = [await api.submit(service_required="ab"[n % 2]) for n in range(7)]
    await work.whole_job()
    page = await api.get("/api/jobs?limit=3")
    seen = [job["job_id"] for job in page["jobs"]]
    while page["cursor"]:
        page = await api.get(f"/api/jobs?limit=3&cursor={page['cursor']}")
        seen += [job["job_id"] for job in page["jobs"]]
    assert seen == ids[::-1]
    assert [job["job_id"] for job in (await api.get("/api/jobs?status=completed"))["jobs"]] == ids[:1]
    assert [job["job_id"] for job in (await api.get("/api/jobs?service=b"))["jobs"]] == ids[1::2][::-1]
    assert [job["job_id"] for job in (await api.get("/api/jobs?worker_id=worker-a"))["jobs"]] == ids[:1]
    for query, field in (
        ("status=dancing", "status"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
    ):
        assert (await api.get(f"/api/jobs?{query}", status=422))["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "path",
    [
        "/api/jobs?stat=completed",
        "/api/jobs/job-a/explain?stat=",
        "/api/events?kinds=claimed&stat=1",
        "/api/failures?stat=1",
        "/api/history?stat=1",
        "/api/usage?stat=1",
        "/api/stats?stat=1",
        "/api/session?stat=1",
    ],
)
async def test_a_query_that_no_route_reads_is_refused_and_named(api: Api, path: str) -> None:
    problem = await api.get(path, status=422)
    assert problem["errors"][0]["field"] == "stat"


async def test_every_name_that_a_listing_reads_may_be_asked_for(api: Api) -> None:
    ours = await api.submit(client_id="page-1")
    await api.submit(service_required="cut", client_id="page-2")
    for query in ("job_type=simulation", "client_id=page-1", "client=page-1&token=whatever"):
        assert [job["job_id"] for job in (await api.get(f"/api/jobs?{query}"))["jobs"]] == [ours], query


async def test_what_older_clients_and_probes_ask_may_say_more(api: Api) -> None:
    job_id = (await api.post("/api/jobs?trace=1", {"job_type": "simulation", "payload": {}}, status=200))["job_id"]
    assert (await api.get(f"/api/jobs/{job_id}?_=1700000000"))["job_id"] == job_id
    await api.get("/health?from=balancer")
    async with api.session.get(f"{api.base}/api/jobs/{job_id}/progress?lastEventId=&_=1700000000") as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")


async def test_a_listing_shows_no_bodies_and_its_page_is_as_small_as_its_rows(api: Api, work: Work) -> None:
    """Neither to its reader nor between Redis and the API: a page of large jobs is not shortened by their size."""
    large = {"payload": {"image": "x" * 500_000}, "own": "y" * 10_000, "retry_policy": {"attempts": 3}}
    ids = [await api.submit(**large) for _ in range(20)]
    lease = await work.claim()
    await work.queue.progress(lease, ProgressUpdate(kind=EventKind.LOG, message="z" * 1_000, status="info"))
    await work.queue.end(Failed(lease=lease, error="broken", retryable=False, traceback="t" * 1_000))
    async with api.session.get(f"{api.base}/api/jobs") as response:
        text = await response.text()
    page = json.loads(text)
    assert [job["job_id"] for job in page["jobs"]] == ids[::-1]
    assert len(text) < 20 * 1_000
    (failed,) = [job for job in page["jobs"] if job["status"] == "failed"]
    assert (failed["job_id"], failed["error"], failed["worker_id"]) == (lease.job_id, "broken", "worker-a")
    whole = await api.get(f"/api/jobs/{lease.job_id}")
    left_out = {"job", "payload", "result", "extra", "logs", "traceback", "retry_policy"}
    assert set(whole) - set(failed) == left_out
    assert {name: whole[name] for name in failed} == failed
    assert (whole["payload"], whole["extra"]) == (large["payload"], {"own": large["own"]})
    read = await api.queue.jobs(bodies=False, limit=20)
    assert sum(len(msgspec.json.encode(job)) for job in read.jobs) < 20 * 1_000


async def test_cancel_and_retry_answer_the_job(api: Api, work: Work) -> None:
    job_id = await api.submit()
    cancelled = await api.post(f"/api/jobs/{job_id}/cancel", {"reason": "changed my mind"}, 200)
    assert (cancelled["status"], cancelled["cancel_reason"]) == ("cancelled", "changed my mind")
    retried = await api.post(f"/api/jobs/{job_id}/retry", None, 200)
    assert (retried["status"], retried["display_position"]) == ("pending", 1)
    await api.post(f"/api/jobs/{job_id}/retry", None, 409)
    await work.whole_job()
    problem = await api.post(f"/api/jobs/{job_id}/cancel", None, 409)
    assert "completed" in problem["detail"]
    for move in ("cancel", "retry"):
        assert (await api.post(f"/api/jobs/nowhere/{move}", None, 404))["detail"] == "Job with ID nowhere not found"
    await api.post(f"/api/jobs/{job_id}/cancel", {"reason": 5}, 422)


async def test_a_result_can_be_read(api: Api, work: Work) -> None:
    job_id = await api.submit()
    await work.whole_job(40)
    job = await api.get(f"/api/jobs/{job_id}")
    assert (job["status"], job["result"], job["progress"]) == ("completed", {"status": "success"}, 40.0)
    assert float(job["created_at"]) <= float(job["claimed_at"]) <= float(job["completed_at"])
    assert job["created_at_ms"] / 1000 == float(job["created_at"])


async def test_stats_and_workers_show_what_is(api: Api, work: Work) -> None:
    await api.submit()
    await api.submit(service_required="image")
    lease = await work.claim()
    await work.queue.heartbeat(WorkerReport(worker_id="worker-a", status="busy", running=(lease.job_id,)))
    client = await api.client()
    stats = await api.get("/api/stats")
    assert (stats["queue"]["pending"], stats["queue"]["claimed"]) == (1, 1)
    assert stats["queue"]["by_service"] == {"image": 1}
    assert stats["workers"] == {"total": 1, "alive": 1, "busy": 1}
    assert stats["connections"] == {"sse": 0, "client": 1, "monitor": 0}
    worker = (await api.get("/api/workers"))["workers"][0]
    assert (worker["worker_id"], worker["alive"], worker["running"]) == ("worker-a", True, [lease.job_id])
    await client.raw.close()


async def test_metrics_are_prometheus_text(api: Api) -> None:
    await api.submit()
    async with api.session.get(f"{api.base}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (await response.text()).splitlines()
    assert 'hubgate_jobs{state="pending"} 1.0' in lines
    assert 'hubgate_http_requests_total{method="POST",route="/api/jobs",status="201"} 1.0' in lines
    assert 'hubgate_http_request_seconds_bucket{le="+Inf",method="POST",route="/api/jobs"} 1.0' in lines
    assert 'hubgate_jobs_submitted_total{interface="http"} 1.0' in lines
    assert "hubgate_redis_up 1.0" in lines


async def test_the_api_says_503_while_redis_is_away_and_serves_again_when_it_is_back(
    start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings
) -> None:
    api = await start_api(msgspec.structs.replace(settings, redis_url=own_valkey.url, call_timeout_ms=300))
    client = await api.client()
    await api.get("/health/ready")
    own_valkey.kill()
    for path in ("/health/ready", "/api/stats", "/api/jobs/x", "/api/jobs", "/api/jobs/x/progress", "/api/events"):
        async with api.session.get(api.base + path) as response:
            assert response.status == 503, path
            assert int(response.headers["Retry-After"]) > 0
            assert "not available" in (await response.json())["detail"]
            assert str(own_valkey.port) not in await response.text(), "where Redis is, is not for clients"
    await api.post("/api/jobs", {"service_required": "a"}, 503)
    await api.get("/health/live")
    async with api.session.get(f"{api.base}/metrics") as response:
        assert "hubgate_redis_up 0" in await response.text()
    await client.send(type="submit_job", job_type="simulation", payload={})
    error = (await client.receive())["error"]
    assert "Redis" in error
    assert str(own_valkey.port) not in error
    own_valkey.start()
    async with asyncio.timeout(10):
        while True:
            async with api.session.get(f"{api.base}/health/ready") as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.05)
    job_id = await api.submit(client_id="client-a")
    await Work(api.queue).whole_job(50)
    assert await client.receive_types(3) == ["response_job_status", "update_job_progress", "complete_job"]
    assert (await api.whole(f"/api/jobs/{job_id}/progress"))[-1].event == "completed"


async def test_one_slash_too_many_is_sent_to_the_page_without_it(api: Api) -> None:
    job = {"job_type": "simulation", "payload": {}}
    assert (await api.post("/api/jobs/", job, 200))["success"]
    async with api.session.get(f"{api.base}/api/jobs/?limit=1&cursor=5", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "/api/jobs?limit=1&cursor=5")
    assert (await api.get("/nowhere/", 404))["detail"] == "Not Found"


async def test_a_full_redis_takes_no_jobs_but_lets_them_be_read_and_ended(
    start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings
) -> None:
    api = await start_api(msgspec.structs.replace(settings, redis_url=own_valkey.url))
    job_id = await api.submit()
    client = await api.client()
    await api.queue._caller.connection.call("CONFIG", "SET", "maxmemory", "1")
    problem = await api.post("/api/jobs", {"service_required": "simulation"}, 503)
    assert "not available" in problem["detail"]
    await client.send(type="submit_job", job_type="simulation", payload={})
    assert (await client.receive())["type"] == "error"
    assert (await api.get(f"/api/jobs/{job_id}"))["status"] == "pending"
    assert (await api.post(f"/api/jobs/{job_id}/cancel", None, 200))["status"] == "cancelled"
    await api.queue._caller.connection.call("CONFIG", "SET", "maxmemory", "0")
    assert (await api.queue.counts()).pending == 0
    await api.submit()


async def test_load_balancers_may_ask_with_head(api: Api) -> None:
    for path in ("/", "/health", "/health/live"):
        async with api.session.head(api.base + path) as response:
            assert (response.status, await response.read()) == (200, b"")
