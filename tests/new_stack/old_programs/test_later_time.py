"""Programs of the later time: its REST, where a setting asks for it, and roles that are told in a socket's query."""

from __future__ import annotations

import aiohttp
import pytest

from new_stack.queue import Failed
from tests.new_stack.api.conftest import StartApi, Work
from tests.new_stack.old_programs.monitor_pages import OldMonitorPage
from tests.new_stack.old_programs.test_hub_client import ws_url

PATHS = ["/jobs", "/jobs/mine", "/workers", "/queue/status", "/system/status"]
JOB = {"job_type": "simulation", "payload": {"prompt": "a cat"}, "priority": 3, "id": "mine", "customer_id": "c7"}


@pytest.mark.parametrize("path", PATHS)
async def test_its_rest_is_off_unless_a_setting_asks_for_it(path: str, start_api: StartApi) -> None:
    api = await start_api()
    await api.get(path, status=404)


@pytest.mark.parametrize("path", PATHS)
async def test_its_rest_is_guarded_by_the_token(path: str, start_api: StartApi) -> None:
    api = await start_api(later_rest=True, token="s3cret")
    await api.get(path, status=401)


async def test_a_job_is_submitted_read_and_listed(start_api: StartApi, work: Work) -> None:
    api = await start_api(later_rest=True)
    submitted = await api.post("/jobs", JOB)
    assert (submitted["success"], submitted["job_id"], submitted["job"]["customer_id"]) == (True, "mine", "c7")
    assert (await api.post("/jobs", JOB, status=200))["job_id"] == "mine"
    assert [job["id"] for job in (await api.get("/jobs?status=pending"))["jobs"]] == ["mine"]
    await work.whole_job(50)
    read = await api.get("/jobs/mine")
    assert (read["status"], read["job"]["status"], read["result"]) == ("completed", "completed", {"status": "success"})
    assert (await api.get("/jobs?status=pending"))["jobs"] == []
    await api.get("/jobs?status=lost", status=422)
    assert "not found" in (await api.get("/jobs/nosuch", status=404))["error"]
    assert "service_required" in (await api.post("/jobs", {"payload": {}}, status=422))["error"]


async def test_the_queue_the_workers_and_the_system_are_shown(start_api: StartApi, work: Work) -> None:
    api = await start_api(later_rest=True)
    for name in ("a", "b", "c"):
        await api.submit(id=name)
    await api.queue.end(Failed(lease=await work.claim(), error="no memory", retryable=False))
    await work.claim()
    figures = await api.get("/queue/status")
    assert (figures["pending"], figures["active"], figures["failed"]) == (1, 1, 1)
    assert [job["id"] for job in (await api.get("/queue/failed"))["jobs"]] == ["a"]
    assert [job["id"] for job in (await api.get("/queue/active"))["jobs"]] == ["b"]
    assert (await api.get("/workers"))["total"] == len((await api.get("/api/workers"))["workers"])
    system = await api.get("/system/status")
    assert (system["status"], system["system_stats"]["total_jobs"]) == ("ok", 3)
    assert system["server_time"] > 1e12


async def test_a_worker_is_told_where_to_go(start_api: StartApi) -> None:
    api = await start_api()
    socket = await api.socket("/?type=worker&id=w1")
    assert "REDIS_URL" in (await socket.receive())["error"]
    assert await socket.closed() == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_a_client_and_a_monitor_say_who_they_are_in_the_query(start_api: StartApi) -> None:
    api = await start_api()
    client = await api.socket("/?type=client&id=shop")
    assert "shop" in (await client.receive())["message"]
    monitor = await api.socket("/?type=monitor&id=wall")
    assert await monitor.receive_types(3) == ["connection_established", "stats_broadcast", "ack"]
    async with OldMonitorPage(ws_url(api)) as page:
        stats = await page.shows(lambda page: page.stats)
        assert stats.connections["clients"] == ["shop"]
        assert "wall" in stats.connections["monitors"]
