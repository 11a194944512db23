"""What an operator's page asks and does: overview, history, search, many jobs at once, pause and drain."""

from __future__ import annotations

from typing import Any

import msgspec

from new_stack.queue import Failed, QueueSettings, WorkerReport

from ..conftest import ValkeyProcess
from .conftest import Api, StartApi, Work


async def test_the_overview_counts_the_workers_that_claim_jobs_of_every_service(api: Api, work: Work) -> None:
    for name, services in (("w1", ("*",)), ("w2", ("draw", "*")), ("w3", ("draw",)), ("w4", ("*",))):
        await work.queue.heartbeat(WorkerReport(worker_id=name, services=services))
    await api.post("/api/workers/w4/drain", None, 200)
    assert (await api.get("/api/overview"))["workers"]["every_service"] == 2


async def test_the_overview_says_what_waits_and_what_needs_a_person(api: Api, work: Work) -> None:
    await work.queue.heartbeat(WorkerReport(worker_id="w1", services=("draw",)))
    await work.queue.heartbeat(WorkerReport(worker_id="w2", services=("draw",)))
    oldest = (await api.get(f"/api/jobs/{await api.submit(service_required='upscale')}"))["created_at_ms"]
    await api.submit(service_required="upscale")
    await api.submit(service_required="draw")
    await api.post("/api/services/draw/pause", None, 200)
    await api.post("/api/workers/w2/drain", None, 200)
    await api.queue.reap()
    found = await api.get("/api/overview")
    unserved = found["queue"]["unserved"]["upscale"]
    paused = found["queue"]["paused"]["draw"]
    assert found["workers"] == {"total": 2, "alive": 2, "busy": 0, "draining": 1, "every_service": 0}
    assert [(one["service"], one["waiting"], one["workers"]) for one in found["services"]] == [
        ("upscale", 2, 0),
        ("draw", 1, 1),
    ]
    assert (found["services"][0]["oldest_at"], found["services"][0]["unserved_since"]) == (oldest, unserved)
    assert (found["services"][1]["paused_since"], found["services"][1]["unserved_since"]) == (paused, None)
    assert [(one["kind"], one["text"]) for one in found["attention"]] == [
        ("unserved", "2 jobs wait for 'upscale': no worker serves it"),
        ("paused", "1 job waits for 'draw', which is paused"),
    ]
    assert found["redis"]["used_bytes"] > 0


async def test_the_overview_says_which_lease_runs_out_and_that_redis_is_nearly_full(
    start_api: StartApi, own_valkey: ValkeyProcess, settings: QueueSettings
) -> None:
    api = await start_api(msgspec.structs.replace(settings, redis_url=own_valkey.url), reap_ms=60_000)
    job_id = await api.submit()
    await api.queue.claim("w1")
    assert {one["kind"] for one in (await api.get("/api/overview"))["attention"]}.isdisjoint({"lease", "memory"})
    call = api.queue._caller.connection.call
    soon = await api.queue.time_ms() + 1_000
    await call("ZADD", f"{settings.prefix}leases", soon, job_id)
    limit = (await api.get("/api/overview"))["redis"]["used_bytes"] * 10 // 9
    await call("CONFIG", "SET", "maxmemory", limit)
    found = await api.get("/api/overview")
    told = {one["kind"]: one["text"] for one in found["attention"]}
    assert told["lease"] == f"The lease of job {job_id} is about to run out: its worker w1 is silent"
    share = round(100 * found["redis"]["used_bytes"] / limit)
    assert told["memory"] == f"Redis's memory is {share} % full: beyond its limit no job is taken in"
    assert [one["expires_at"] for one in found["leases"]["about_to_expire"]] == [soon]


async def test_the_history_counts_what_happened_by_service(api: Api, work: Work) -> None:
    for service in ("draw", "draw", "cut"):
        await api.submit(service_required=service, max_retries=0)
    await work.whole_job()
    await work.queue.end(Failed(lease=await work.claim(), error="no"))
    found = await api.get("/api/history?range=1h&by=service")
    totals = {series["service"]: series["total"] for series in found["series"]}
    assert {
        name: (one["submitted"], one["completed"], one["failed"], one["waiting"]) for name, one in totals.items()
    } == {
        "draw": (2, 1, 1, 0),
        "cut": (1, 0, 0, 1),
    }
    assert totals["draw"]["wait_ms"]["count"] == totals["draw"]["run_ms"]["count"] == 2
    assert totals["draw"]["wait_ms"]["p50"] <= totals["draw"]["wait_ms"]["p99"]
    assert (found["step_ms"], found["until"] - found["from"]) == (60_000, 3_600_000)
    [everything] = (await api.get("/api/history?range=7d"))["series"]
    assert (everything["service"], everything["total"]["submitted"]) == ("", 3)
    assert (await api.get("/api/history?service=cut"))["series"][0]["total"]["submitted"] == 1
    assert (await api.get("/api/history?until=1000"))["series"][0]["points"] == []
    await api.get("/api/history?range=2h", 422)
    await api.get("/api/history?by=worker", 422)


async def ids(api: Api, query: str) -> list[str]:
    return [job["job_id"] for job in (await api.get(f"/api/jobs?{query}"))["jobs"]]


async def test_a_search_finds_the_id_first_and_then_what_says_the_text(api: Api, work: Work) -> None:
    await api.submit(id="red", client_id="Shop-7")
    await api.submit(id="redder", max_retries=0)
    await work.whole_job()
    await work.queue.end(Failed(lease=await work.claim(), error="no RED ink"))
    await api.submit(id="blue")
    assert await ids(api, "q=red") == ["red", "redder"]
    assert await ids(api, "q=Red") == ["redder", "red"]
    assert await ids(api, "q=ink") == ["redder"]
    assert await ids(api, "q=shop") == ["red"]
    assert await ids(api, "client=Shop-7") == ["red"]
    assert await ids(api, "state=failed&worker=worker-a") == ["redder"]
    assert await ids(api, "q=nothing") == []


async def test_an_old_job_is_found_among_very_many_and_pages_hide_none(api: Api) -> None:
    await api.submit(id="the-old-one")
    for first in range(0, 3_000, 1_000):
        await api.post("/api/jobs", [{"service_required": "s", "id": f"j{first + n}"} for n in range(1_000)], 200)
    page = await api.get("/api/jobs?q=the-old-one&limit=10")
    assert [job["job_id"] for job in page["jobs"]] == ["the-old-one"]
    assert page["looked_at"] == 3_001
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await api.get(f"/api/jobs?service=s&limit=500&after={cursor}")
        seen += [job["job_id"] for job in page["jobs"]]
        cursor = page["cursor"]
    assert seen == [f"j{number}" for number in reversed(range(3_000))]


async def test_waiting_and_running_jobs_are_cancelled_together(api: Api, work: Work) -> None:
    running = await api.submit(service_required="draw")
    await work.claim()
    waiting = [await api.submit(service_required="draw") for _ in range(150)]
    other = await api.submit(service_required="cut")
    about: dict[str, Any] = {"action": "cancel", "filter": {"service": "draw"}}
    assert (await api.post("/api/jobs/bulk", about, 200))["matched"] == 151
    assert (await api.queue.counts()).cancelled == 0
    done = await api.post("/api/jobs/bulk", about | {"dry_run": False, "cancel_reason": "too late"}, 200)
    assert (done["changed"], done["more"]) == (151, False)
    for job_id in (running, waiting[0], waiting[-1]):
        job = await api.get(f"/api/jobs/{job_id}")
        assert (job["status"], job["cancel_reason"]) == ("cancelled", "too late")
    assert (await api.get(f"/api/jobs/{other}"))["status"] == "pending"
    again = {"action": "retry", "filter": {"state": "cancelled", "q": waiting[0]}, "dry_run": False}
    assert (await api.post("/api/jobs/bulk", again, 200))["changed"] == 1
    problem = await api.post("/api/jobs/bulk", {"action": "drop", "filter": {"state": "pending"}}, 422)
    assert "filter.state" in problem["detail"]


async def test_a_paused_service_says_so_and_goes_on_when_resumed(api: Api, work: Work) -> None:
    job_id = await api.submit(service_required="draw")
    since = (await api.post("/api/services/draw/pause", None, 200))["paused_since"]
    job = await api.get(f"/api/jobs/{job_id}")
    assert (job["waiting_reason"], job["paused_since_ms"]) == ("the service 'draw' is paused", since)
    assert await work.queue.claim("w") == []
    assert await api.post("/api/services/draw/resume", None, 200) == {"service": "draw", "paused_since": None}
    assert [lease.job_id for lease in await work.queue.claim("w")] == [job_id]


async def test_a_drained_worker_is_shown_as_one(api: Api, work: Work) -> None:
    await work.queue.heartbeat(WorkerReport(worker_id="w1"))
    since = (await api.post("/api/workers/w1/drain", None, 200))["draining_since"]
    assert (await api.get("/api/workers"))["workers"][0]["draining_since"] == since
    assert await api.post("/api/workers/w1/resume", None, 200) == {"worker_id": "w1", "draining_since": None}
    await api.post("/api/workers/nobody/drain", None, 404)
