"""A job that nobody alive serves waits, and everybody who looks is told so, and since when."""

from __future__ import annotations

import msgspec

from new_stack.queue import Claimant, NewJob, QueueSettings, WorkerReport

from .conftest import Api, StartApi


async def test_a_job_that_nobody_serves_is_told_with_its_time_until_somebody_does(api: Api) -> None:
    await api.queue.heartbeat(WorkerReport(worker_id="draws", services=("draw",)))
    served = await api.submit(service_required="draw")
    waiting = await api.submit(service_required="upscale")
    await api.queue.reap()
    job = await api.get(f"/api/jobs/{waiting}")
    assert job["waiting_reason"] == "no worker serves 'upscale'"
    assert (await api.get("/api/stats"))["queue"]["unserved"] == {"upscale": job["unserved_since_ms"]}
    assert 'hubgate_jobs_unserved{service="upscale"} 1.0' in await metrics(api)
    assert (await api.get(f"/api/jobs/{served}"))["waiting_reason"] is None

    upscales = Claimant(worker_id="upscales", services=("upscale",))
    await api.queue.heartbeat(WorkerReport(worker_id="upscales", services=upscales.services))
    assert (await api.get("/api/stats"))["queue"]["unserved"] == {}  # at once, before anybody reaps
    [listed] = (await api.get("/api/jobs?state=pending&service=upscale"))["jobs"]
    assert listed["waiting_reason"] is None
    job = await api.get(f"/api/jobs/{waiting}")
    assert (job["waiting_reason"], job["unserved_since_ms"]) == (None, None)
    assert "hubgate_jobs_unserved{" not in await metrics(api)
    [lease] = await api.queue.claim(upscales)
    assert lease.job_id == waiting


async def test_a_job_whose_moment_has_not_come_waits_for_nobody_wherever_it_is_looked_at(api: Api) -> None:
    later = await api.submit(service_required="upscale", not_before=2**45)
    now = await api.submit(service_required="upscale")
    await api.queue.reap()
    listed = {job["job_id"]: job["waiting_reason"] for job in (await api.get("/api/jobs?state=pending"))["jobs"]}
    assert listed == {now: "no worker serves 'upscale'", later: None}
    assert {one: (await api.get(f"/api/jobs/{one}"))["waiting_reason"] for one in listed} == listed
    await api.queue.pause_service("upscale")
    listed = {job["job_id"]: job["waiting_reason"] for job in (await api.get("/api/jobs?state=pending"))["jobs"]}
    assert {one: (await api.get(f"/api/jobs/{one}"))["waiting_reason"] for one in listed} == listed


async def metrics(api: Api) -> str:
    async with api.session.get(f"{api.base}/metrics") as response:
        return await response.text()


async def test_requirements_that_nobody_meets_are_told_apart_from_a_service_that_nobody_serves(
    start_api: StartApi, settings: QueueSettings
) -> None:
    api = await start_api(msgspec.structs.replace(settings, matching=True))
    small = {"hardware": {"gpu_memory_gb": 8}, "region": "eu"}
    await api.queue.heartbeat(WorkerReport(worker_id="small", services=("draw",), capabilities=small))
    await api.queue.heartbeat(WorkerReport(worker_id="cuts", services=("cut",)))
    large = {"service_required": "draw", "requirements": {"hardware": {"gpu_memory_gb": 24}}}
    waiting = [await api.submit(**large), await api.submit(**large)]
    served = await api.submit(service_required="draw")
    await api.submit(service_required="upscale")
    await api.queue.reap()

    reason = "no worker that serves 'draw' can do what the job asks for"
    jobs = (await api.get("/api/jobs?state=pending&service=draw"))["jobs"]
    assert {job["job_id"]: job["waiting_reason"] for job in jobs} == dict.fromkeys(waiting, reason) | {served: None}
    found = await api.get("/api/overview")
    queue, of_the_first = found["queue"], f"{waiting[0]} on small: it has too little GPU memory"
    assert queue["unserved"].keys() == {"upscale"}
    [since] = {job["unserved_since_ms"] for job in jobs} - {None}
    assert queue["unmet"] == {"draw": {"since": since, "jobs": 2, "example": waiting[0]}}
    assert [(one["kind"], one["count"], one["text"]) for one in found["attention"]] == [
        (
            "unmet",
            2,
            f"2 jobs wait for 'draw': no worker that serves it can do what they ask for ({of_the_first})",
        ),
        ("unserved", 1, "1 job waits for 'upscale': no worker serves it"),
    ]
    services = {one["service"]: (one["unserved_since"], one["unmet_since"]) for one in found["services"]}
    assert services == {"draw": (None, since), "upscale": (queue["unserved"]["upscale"], None), "cut": (None, None)}
    page = await metrics(api)
    assert 'hubgate_jobs_unserved{service="upscale"} 1.0' in page
    assert 'hubgate_jobs_unserved{service="draw"}' not in page
    assert 'hubgate_jobs_unmet{service="draw"} 2.0' in page


async def test_since_when_is_kept_for_the_thousand_services_that_are_next_in_line(api: Api) -> None:
    """Beyond them, jobs wait all the same, and who looks is told who cannot take them."""
    jobs = [NewJob(id=f"j{number}", service_required=f"s{number}") for number in range(1_002)]
    await api.queue.submit_many(jobs)
    await api.queue.heartbeat(WorkerReport(worker_id="draws", services=("draw",)))
    await api.queue.reap()
    assert (await api.get("/api/jobs/j999"))["waiting_reason"] == "no worker serves 's999'"
    last = await api.get("/api/jobs/j1001")
    assert (last["waiting_reason"], last["unserved_since_ms"]) == (None, None)
    explained = await api.get("/api/jobs/j1001/explain")
    assert (explained["sentence"], explained["unworkable_since"]) == ("Unworkable: no live worker can take it.", None)
    assert [worker["reason"] for worker in explained["unable"]] == ["it does not serve 's1001'"]
    for number in range(2):
        await api.queue.cancel(f"j{number}")
    for _ in range(2):  # the first one takes the services out that have no jobs any more
        await api.queue.reap()
    assert (await api.get("/api/jobs/j1001"))["waiting_reason"] == "no worker serves 's1001'"


async def test_since_when_is_kept_for_the_thousand_signatures_that_are_next_in_line(
    start_api: StartApi, settings: QueueSettings
) -> None:
    api = await start_api(msgspec.structs.replace(settings, matching=True))
    await api.queue.heartbeat(WorkerReport(worker_id="draws", services=("draw",)))
    asks = ({"requirements": {"region": f"r{number}"}} for number in range(1_002))
    await api.queue.submit_many(
        NewJob(id=f"j{number}", service_required="draw", extra=msgspec.Raw(msgspec.json.encode(own)))
        for number, own in enumerate(asks)
    )
    await api.queue.reap()
    found = await api.get("/api/jobs/j999")
    assert found["waiting_reason"] == "no worker that serves 'draw' can do what the job asks for"
    assert (await api.get("/api/jobs/j1001"))["waiting_reason"] is None
    explained = await api.get("/api/jobs/j1001/explain")
    assert explained["unworkable_since"] is None
    assert [worker["reason"] for worker in explained["unable"]] == ["it is not in a region asked for"]
