"""`rest-async` against a server that takes jobs and is polled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from new_stack.worker import Connector, JobFailed
from tests.new_stack.worker.connectors.conftest import GivenJob, Open, Serve, stopped


class Bureau:
    """Takes jobs; each question is answered with the next of `states`, the last one for ever."""

    def __init__(self, *states: dict[str, Any] | int) -> None:
        self.states = list(states)
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked_once = asyncio.Event()
        self.cancelled: list[str] = []
        self.taken: list[Any] = []
        self.receipt: Any = {"id": 42}
        self.taking = asyncio.Event()
        self.receipt_ready = asyncio.Event()
        self.receipt_ready.set()
        self.app = web.Application()
        self.app.router.add_post("/jobs", self.take)
        self.app.router.add_get("/jobs/{id}", self.tell)
        self.app.router.add_delete("/jobs/{id}", self.cancel)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append(await request.json())
        self.taking.set()
        await self.receipt_ready.wait()
        return web.json_response(self.receipt, status=202)

    async def tell(self, request: web.Request) -> web.Response:
        assert request.match_info["id"] == "42"
        state = self.states[min(self.asked, len(self.states) - 1)]
        self.asked += 1
        self.asked_once.set()
        await self.answers.wait()
        return web.Response(status=state) if isinstance(state, int) else web.json_response(state)

    async def cancel(self, request: web.Request) -> web.Response:
        self.cancelled.append(request.match_info["id"])
        return web.Response()


async def connected(server: TestServer, connect: Open, more: str = "") -> Connector:
    jobs = server.make_url("/jobs")
    return await connect(f"rest-async:url={jobs},status_url={jobs}/{{id}},poll_ms=5,poll_failures=3{more}")


async def test_a_job_is_submitted_polled_and_its_result_read(serve: Serve, connect: Open) -> None:
    bureau = Bureau(
        {"status": "queued"},
        {"status": "running", "progress": 0.25, "message": "warming up"},
        {"status": "running", "progress": 0.25, "message": "warming up"},
        {"status": "Succeeded", "progress": 1, "result": {"n": 1}},
    )
    connector = await connected(await serve(bureau.app), connect, ",progress_scale=100")
    job = GivenJob({"x": 1})
    assert await connector.run(job) == {"n": 1}
    assert [(update.progress, update.message) for update in job.heard.updates] == [(25, "warming up"), (100, None)]
    assert bureau.taken == [{"x": 1}]


async def test_fields_may_lie_anywhere_in_the_answer(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"data": {"state": "ok", "out": [1, 2]}})
    bureau.receipt = {"job": {"ref": 42}}
    fields = ",id_field=job.ref,status_field=data.state,result_field=data.out,done=ok|fine"
    connector = await connected(await serve(bureau.app), connect, fields)
    assert await connector.run(GivenJob({})) == [1, 2]


async def test_a_job_that_fails_there_fails_here_with_its_error(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"}, {"status": "failed", "error": "no more paper"})
    connector = await connected(await serve(bureau.app), connect)
    with pytest.raises(JobFailed, match=r"^no more paper$"):
        await connector.run(GivenJob({}))


async def test_a_few_failed_polls_are_put_up_with(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"}, 500, 502, {"status": "done", "result": "late"})
    connector = await connected(await serve(bureau.app), connect)
    assert await connector.run(GivenJob({})) == "late"


async def test_a_back_end_that_stays_away_is_a_failure(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"}, 503)
    connector = await connected(await serve(bureau.app), connect)
    with pytest.raises(JobFailed, match="was answered 503"):
        await connector.run(GivenJob({}))
    assert bureau.asked == 4


async def test_a_job_that_the_back_end_does_not_know_any_more_fails_at_once(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"}, 404)
    connector = await connected(await serve(bureau.app), connect)
    with pytest.raises(JobFailed, match="was answered 404"):
        await connector.run(GivenJob({}))
    assert bureau.asked == 2


async def test_a_receipt_without_an_id_is_a_failure(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"})
    bureau.receipt = {"ok": True}
    connector = await connected(await serve(bureau.app), connect)
    with pytest.raises(JobFailed, match="no 'id'"):
        await connector.run(GivenJob({}))


async def test_the_server_stopping_mid_job_is_a_failure(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"})
    server = await serve(bureau.app)
    connector = await connected(server, connect)
    running = asyncio.create_task(connector.run(GivenJob({})))
    await bureau.asked_once.wait()
    await server.close()
    with pytest.raises(JobFailed):
        await running


async def test_stopping_a_job_cancels_it_at_the_back_end(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"})
    server = await serve(bureau.app)
    more = f",cancel_url={server.make_url('/jobs')}/{{id}},cancel_method=DELETE"
    connector = await connected(server, connect, more)
    running = asyncio.create_task(connector.run(GivenJob({})))
    await bureau.asked_once.wait()
    await stopped(running)
    assert bureau.cancelled == ["42"]


async def test_stopping_a_job_while_it_is_submitted_cancels_it_at_the_back_end(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"})
    bureau.receipt_ready.clear()
    server = await serve(bureau.app)
    more = f",cancel_url={server.make_url('/jobs')}/{{id}},cancel_method=DELETE"
    connector = await connected(server, connect, more)
    running = asyncio.create_task(connector.run(GivenJob({})))
    await bureau.taking.wait()
    running.cancel()
    await asyncio.sleep(0)  # the cancellation is delivered, and waits for the receipt
    assert not running.done()
    bureau.receipt_ready.set()
    await asyncio.wait([running], timeout=2)
    assert running.cancelled()
    assert bureau.cancelled == ["42"]


async def test_a_poll_that_is_not_answered_in_time_is_a_failed_poll(serve: Serve, connect: Open) -> None:
    bureau = Bureau({"status": "running"})
    bureau.answers.clear()
    connector = await connected(await serve(bureau.app), connect, ",poll_timeout_s=0.05")
    with pytest.raises(JobFailed, match="no answer in time"):
        async with asyncio.timeout(3):
            await connector.run(GivenJob({}))
    assert bureau.asked == 3
