"""The monitor pages of both times show on our server what they showed on their own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from new_stack.queue import Failed, WorkerReport
from new_stack.worker.connectors.rest import RestSyncConnector, RestSyncSettings
from tests.new_stack.api.conftest import StartApi
from tests.new_stack.old_programs.hub_client import Accepted, Completed, Greeting, HubClient, Progress, Status
from tests.new_stack.old_programs.monitor_pages import LaterMonitorPage, OldMonitorPage
from tests.new_stack.old_programs.test_hub_client import LONG, SCRIPT, ws_url
from tests.new_stack.worker.conftest import StartWorker, at_work, simulate

KNOWN_TO_CLIENTS = {Greeting, Accepted, Status, Progress, Completed}


@pytest.fixture
async def back_end() -> AsyncIterator[TestServer]:
    """A service that workers call: it answers with what it was sent."""

    async def run(request: web.Request) -> web.Response:
        return web.json_response({"size": len(await request.read())})

    app = web.Application()
    app.router.add_post("/run", run)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


def address(server: TestServer) -> str:
    return f"{server.host}:{server.port}"


class TestTheHubsPage:
    async def test_it_fills_its_menu_of_job_types(self, start_api: StartApi, start_worker: StartWorker) -> None:
        api = await start_api()
        await start_worker()
        async with OldMonitorPage(ws_url(api)) as page:
            await page.shows(lambda page: page.job_types)

    async def test_it_shows_each_worker_with_what_it_has_done(
        self, start_api: StartApi, start_worker: StartWorker
    ) -> None:
        api = await start_api()
        await start_worker()
        async with OldMonitorPage(ws_url(api)) as page:
            row = await page.shows(lambda page: page.worker("w1"))
            assert (row.status, row.jobs_processed, row.current_job_id) == ("idle", 0, "")
            assert abs(row.connected_at - time.time()) < 60
            await simulate(api.queue, {"result": {}}, service_required="simulation")
            await page.shows(lambda page: (row := page.worker("w1")) and row.jobs_processed == 1, within_s=10)

    async def test_it_shows_the_jobs_that_wait_and_the_length_of_the_queue(self, start_api: StartApi) -> None:
        api = await start_api()
        waiting = await simulate(api.queue, {"result": {}}, service_required="simulation", priority=4)
        async with OldMonitorPage(ws_url(api)) as page:
            row = await page.shows(lambda page: page.job(waiting))
            assert (row.job_type, row.status, row.priority, row.worker_id) == ("simulation", "pending", 4, None)
            assert (row.updated_at, row.progress) == (0.0, None)
            assert page.stats is not None
            assert page.stats.system.queues == {"priority": 1, "standard": 0, "total": 1}
            assert page.stats.system.jobs.status == {"pending": 1}

    async def test_it_shows_whose_jobs_are_followed(self, start_api: StartApi) -> None:
        api = await start_api()
        async with HubClient(ws_url(api), "shop") as client, OldMonitorPage(ws_url(api)) as page:
            job_id = await client.submit("pictures", {})
            stats = await page.shows(lambda page: page.stats and page.job(job_id) and page.stats)
            assert stats.subscriptions["jobs"] == {job_id: "shop"}
            assert (stats.connections["clients"], stats.connections["monitors"]) == (["shop"], ["page"])

    async def test_jobs_without_a_priority_stand_in_the_standard_queue(self, start_api: StartApi) -> None:
        api = await start_api()
        for priority in (0, -3, 7, 2**40):
            await simulate(api.queue, {"result": {}}, service_required="simulation", priority=priority)
        async with OldMonitorPage(ws_url(api)) as page:
            stats = await page.shows(lambda page: page.stats)
            assert stats.system.queues == {"priority": 2, "standard": 2, "total": 4}

    async def test_it_fills_its_menu_from_the_workers_at_work_as_well(self, start_api: StartApi) -> None:
        api = await start_api()
        await api.queue.heartbeat(
            WorkerReport(worker_id="w1", services=("pictures",), capabilities={"hardware": {"gpu": 1}})
        )
        async with OldMonitorPage(ws_url(api)) as page:
            row = await page.shows(lambda page: page.worker("w1"))
            assert row.capabilities == {"supported_job_types": ["pictures"], "hardware": {"gpu": 1}}

    async def test_it_shows_a_failed_job(self, start_api: StartApi) -> None:
        api = await start_api()
        failed = await simulate(api.queue, {"result": {}}, service_required="simulation")
        [lease] = await api.queue.claim("w1")
        await api.queue.end(Failed(lease=lease, error="no memory", retryable=False))
        async with OldMonitorPage(ws_url(api)) as page:
            row = await page.shows(lambda page: page.job(failed))
            assert (row.status, row.worker_id) == ("failed", "w1")
            assert row.created_at <= row.updated_at < time.time() + 60

    async def test_it_receives_every_status_of_a_worker(self, start_api: StartApi, start_worker: StartWorker) -> None:
        api = await start_api()
        worker = await start_worker()
        async with OldMonitorPage(ws_url(api)) as page:
            await page.shows(lambda page: page.stats)
            await simulate(api.queue, {"progress": 10}, {"result": {}}, service_required="simulation")
            await page.shows(lambda page: page.worker_status.get("w1", [])[-2:] == ["busy", "idle"])
            await worker.stop()
            await page.shows(lambda page: page.worker_status["w1"][-1] == "offline")
            await page.shows(lambda page: page.stats and page.worker("w1") is None)
            await start_worker(worker_id="w2")
            await page.shows(lambda page: page.worker_status.get("w2") == ["idle"])

    async def test_it_receives_what_a_worker_asks_of_its_back_end(
        self, start_api: StartApi, start_worker: StartWorker, back_end: TestServer
    ) -> None:
        api = await start_api()
        await start_worker(RestSyncConnector(RestSyncSettings(url=f"http://me:secret@{address(back_end)}/run?key=k")))
        async with OldMonitorPage(ws_url(api)) as page, HubClient(ws_url(api), "shop") as client:
            await page.shows(lambda page: page.stats)
            job_id = await client.submit("pictures", {"prompt": "a cat"})
            [request] = await page.shows(lambda page: page.service_requests)
            assert (request["job_id"], request["worker_id"], request["service"]) == (job_id, "w1", "pictures")
            url = f"http://{address(back_end)}/run"
            asked = {"endpoint": "/run", "method": "POST", "url": url, "payload": {"prompt": "a cat"}}
            assert request["content"] == asked
            assert request["request_type"] == "http"
            await page.shows(lambda page: page.seen[-1] is not request)
            following = page.seen[page.seen.index(request) + 1]
            assert (following["type"], following["original_type"]) == ("ack", "service_request")
            await client.next(Completed)
            assert not [message for message in client.received if type(message) not in KNOWN_TO_CLIENTS]

    async def test_a_large_payload_is_shown_cut(
        self, start_api: StartApi, start_worker: StartWorker, back_end: TestServer
    ) -> None:
        api = await start_api()
        await start_worker(RestSyncConnector(RestSyncSettings(url=f"http://{address(back_end)}/run")))
        async with OldMonitorPage(ws_url(api)) as page, HubClient(ws_url(api), "shop") as client:
            await page.shows(lambda page: page.stats)
            await client.submit("pictures", {"prompt": "x" * 100_000})
            [request] = await page.shows(lambda page: page.service_requests)
            assert len(request["content"]["payload"]) < 2_100
            assert request["content"]["payload"].endswith("(100013 characters)")

    async def test_it_shows_the_end_of_a_running_job_that_is_cancelled(
        self, start_api: StartApi, start_worker: StartWorker
    ) -> None:
        api = await start_api()
        await start_worker()
        async with OldMonitorPage(ws_url(api)) as page:
            await page.shows(lambda page: page.stats)
            job_id = await simulate(api.queue, *LONG["simulate"], service_required="simulation")
            await at_work(api.queue, job_id)
            await api.queue.cancel(job_id, "too late")
            await page.shows(lambda page: page.ended.get(job_id))


class TestTheLaterPage:
    async def test_it_is_greeted_in_its_own_words(self, start_api: StartApi) -> None:
        api = await start_api()
        async with LaterMonitorPage(ws_url(api)) as page:
            await page.connect()
            greeted = await page.shows(lambda page: page.greeted)
            assert greeted["status"] == "connected"
            assert greeted["connection_type"] == "monitor"
            assert greeted["connection_id"]
            assert greeted["server_time"] > 1e12

    async def test_it_shows_a_job_from_its_submission_to_its_end(
        self, start_api: StartApi, start_worker: StartWorker
    ) -> None:
        api = await start_api()
        async with LaterMonitorPage(ws_url(api)) as page:
            await page.connect()
            async with HubClient(ws_url(api), "page-client") as client:
                now = int(time.time() * 1000)
                await client.send(
                    "submit_job", id="mine", job_type="simulation", payload=SCRIPT, priority=2, timestamp=now
                )
                await page.shows(lambda page: page.jobs.get("mine", {}).get("status") == "pending")
                assert page.jobs["mine"]["job_type"] == "simulation"
                assert page.jobs["mine"]["payload"] == SCRIPT
                await start_worker()
                await page.shows(lambda page: page.jobs["mine"]["status"] == "completed")
                assert page.jobs["mine"]["result"] == {"ok": True}
                assert page.jobs["mine"]["progress"] == 50

    async def test_a_cancelled_job_stays_and_is_shown_as_cancelled(self, start_api: StartApi) -> None:
        api = await start_api()
        job_id = await simulate(api.queue, {"result": {}}, service_required="simulation")
        async with LaterMonitorPage(ws_url(api)) as page:
            await page.connect()
            async with HubClient(ws_url(api), "page-client") as client:
                await client.send("cancel_job", job_id=job_id, timestamp=int(time.time() * 1000))
                await page.shows(lambda page: page.jobs[job_id]["status"] == "cancelled")
        async with LaterMonitorPage(ws_url(api), "another") as page:
            await page.connect()
            assert page.jobs[job_id]["status"] == "cancelled"

    async def test_a_sync_shows_the_state_again_and_changes_nothing(self, start_api: StartApi) -> None:
        api = await start_api()
        job_id = await simulate(api.queue, {"result": {}}, service_required="simulation")
        async with LaterMonitorPage(ws_url(api)) as page:
            await page.connect()
            async with HubClient(ws_url(api), "page-client") as client:
                await client.send("sync_job_state", job_id=job_id, timestamp=int(time.time() * 1000))
                message = await page.shows(
                    lambda page: next((m for m in page.seen if m["type"] == "job_status_changed"), None)
                )
                assert (message["job_id"], message["old_status"], message["new_status"]) == (
                    job_id,
                    "pending",
                    "pending",
                )
        assert (await api.queue.counts()).pending == 1

    async def test_a_sync_reaches_the_pages_of_every_server(self, start_api: StartApi) -> None:
        api, other = await start_api(), await start_api()
        job_id = await simulate(api.queue, {"result": {}}, service_required="simulation")
        async with LaterMonitorPage(ws_url(other)) as page:
            await page.connect()
            async with HubClient(ws_url(api), "page-client") as client:
                await client.send("sync_job_state", job_id=job_id, timestamp=int(time.time() * 1000))
                await page.shows(lambda page: "job_status_changed" in page.types())

    async def test_it_receives_what_a_worker_asks_of_its_back_end(
        self, start_api: StartApi, start_worker: StartWorker, back_end: TestServer
    ) -> None:
        api = await start_api()
        await start_worker(RestSyncConnector(RestSyncSettings(url=f"http://{address(back_end)}/run")))
        async with LaterMonitorPage(ws_url(api)) as page, HubClient(ws_url(api), "shop") as client:
            await page.connect()
            job_id = await client.submit("pictures", {"prompt": "a cat"})
            [request] = await page.shows(lambda page: page.service_requests)
            assert (request["job_id"], request["worker_id"]) == (job_id, "w1")
            assert request["content"]["endpoint"] == "/run"

    async def test_it_shows_workers_with_their_services_and_changes_at_once(
        self, start_api: StartApi, start_worker: StartWorker
    ) -> None:
        api = await start_api()
        await start_worker()
        async with LaterMonitorPage(ws_url(api)) as page:
            await page.connect()
            assert page.workers["w1"]["status"] == "idle"
            assert page.workers["w1"]["capabilities"]["services"]
            job_id = await simulate(api.queue, *LONG["simulate"], service_required="simulation")
            await at_work(api.queue, job_id)
            await page.shows(lambda page: ("w1", "idle", "busy") in page.worker_changes, within_s=0.5)

    async def test_it_receives_a_heartbeat_of_the_server(self, start_api: StartApi) -> None:
        api = await start_api(system_heartbeat_ms=100)
        async with LaterMonitorPage(ws_url(api)) as page:
            await page.connect()
            assert await page.shows(lambda page: len(page.heartbeats) >= 2)
