"""A job that nobody alive serves waits, and everybody who looks is told so, and since when."""

from __future__ import annotations

from new_stack.queue import Claimant, WorkerReport

from .conftest import Api


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
    await api.queue.reap()
    job = await api.get(f"/api/jobs/{waiting}")
    assert (job["waiting_reason"], job["unserved_since_ms"]) == (None, None)
    assert "hubgate_jobs_unserved{" not in await metrics(api)
    [lease] = await api.queue.claim(upscales)
    assert lease.job_id == waiting


async def metrics(api: Api) -> str:
    async with api.session.get(f"{api.base}/metrics") as response:
        return await response.text()
