"""`a1111` against a server with the web UI's API."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from new_stack.worker import Connector, JobFailed
from tests.new_stack.worker.connectors.conftest import GivenJob, Open, Serve, stopped

PICTURE = base64.b64encode(b"\x89PNG a cat").decode()


class WebUI:
    """Works on one request at a time, in `steps` seen by the progress poll."""

    def __init__(self, answer: Any = None, status: int = 200) -> None:
        self.answer = answer or {"images": [PICTURE], "parameters": {"steps": 2}, "info": '{"seed": 7}'}
        self.status = status
        self.hang = False
        self.at_work = 0
        self.most_at_work = 0
        self.progress = 0.0
        self.polled = asyncio.Event()
        self.interrupts: list[int] = []
        self.app = web.Application()
        self.app.router.add_post("/sdapi/v1/txt2img", self.txt2img)
        self.app.router.add_get("/sdapi/v1/progress", self.tell_progress)
        self.app.router.add_post("/sdapi/v1/interrupt", self.interrupt)

    async def txt2img(self, request: web.Request) -> web.Response:
        assert (await request.json())["prompt"] == "a cat"
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            for part in (0.25, 0.5, 0.5, 0.9):
                self.progress = part
                self.polled.clear()
                await self.polled.wait()
            if self.hang:
                await asyncio.Event().wait()
        finally:
            self.at_work -= 1
            self.progress = 0.0
        return web.json_response(self.answer, status=self.status)

    async def tell_progress(self, request: web.Request) -> web.Response:
        assert request.query["skip_current_image"] == "true"
        self.polled.set()
        state = {"job_count": self.at_work, "interrupted": False}
        return web.json_response({"progress": self.progress, "eta_relative": 1.0, "state": state})

    async def interrupt(self, request: web.Request) -> web.Response:
        self.interrupts.append(self.at_work)
        return web.json_response({})


async def connected(server: TestServer, connect: Open, more: str = "") -> Connector:
    return await connect(f"a1111:url={server.make_url('/')},progress_ms=10{more}")


async def test_pictures_are_made_with_progress_and_carried_in_the_result(serve: Serve, connect: Open) -> None:
    connector = await connected(await serve(WebUI().app), connect)
    job = GivenJob({"prompt": "a cat"})
    result = await connector.run(job)
    assert result == {"images": [PICTURE], "parameters": {"steps": 2}, "info": {"seed": 7}}
    assert job.heard.percents == [25, 50, 90]


async def test_with_a_folder_pictures_are_written_and_named(serve: Serve, connect: Open, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    connector = await connected(await serve(WebUI().app), connect, f",folder={folder}")
    result = await connector.run(GivenJob({"prompt": "a cat"}))
    assert "images" not in result
    assert result["files"] == [str(folder / "job%2F1-0.png")]
    assert Path(result["files"][0]).read_bytes() == b"\x89PNG a cat"


async def test_one_request_at_a_time_goes_to_the_server(serve: Serve, connect: Open) -> None:
    webui = WebUI()
    connector = await connected(await serve(webui.app), connect)
    await asyncio.gather(*(connector.run(GivenJob({"prompt": "a cat"})) for _ in range(3)))
    assert webui.most_at_work == 1


@pytest.mark.parametrize(
    ("answer", "status", "retryable", "said"),
    [
        ({"detail": "OutOfMemoryError"}, 500, True, "was answered 500: .*OutOfMemoryError"),
        ({"detail": "Sampler not found"}, 404, False, "Sampler not found"),
        ({"images": None}, 200, True, "has no images"),
    ],
)
async def test_an_error_answer_is_a_failure_that_says_so(
    answer: Any, status: int, retryable: bool, said: str, serve: Serve, connect: Open
) -> None:
    connector = await connected(await serve(WebUI(answer, status).app), connect)
    with pytest.raises(JobFailed, match=said) as caught:
        await connector.run(GivenJob({"prompt": "a cat"}))
    assert caught.value.retryable is retryable


async def test_a_server_that_goes_away_mid_job_is_a_failure(serve: Serve, connect: Open) -> None:
    webui = WebUI()
    webui.hang = True
    server = await serve(webui.app)
    connector = await connected(server, connect)
    job = GivenJob({"prompt": "a cat"})
    running = asyncio.create_task(connector.run(job))
    await job.heard.came.wait()
    await server.close()
    with pytest.raises(JobFailed):
        async with asyncio.timeout(5):
            await running


async def test_a_request_that_takes_too_long_is_a_failure(serve: Serve, connect: Open) -> None:
    webui = WebUI()
    webui.hang = True
    connector = await connected(await serve(webui.app), connect, ",timeout_s=0.3")
    with pytest.raises(JobFailed, match="no answer in time"):
        await connector.run(GivenJob({"prompt": "a cat"}))


async def test_stopping_a_job_interrupts_the_server_while_it_still_works_on_it(serve: Serve, connect: Open) -> None:
    webui = WebUI()
    webui.hang = True
    connector = await connected(await serve(webui.app), connect)
    job = GivenJob({"prompt": "a cat"})
    running = asyncio.create_task(connector.run(job))
    await job.heard.came.wait()
    await stopped(running)
    assert webui.interrupts == [1]


async def test_stopping_a_job_that_waits_its_turn_interrupts_nothing(serve: Serve, connect: Open) -> None:
    webui = WebUI()
    webui.hang = True
    connector = await connected(await serve(webui.app), connect)
    job = GivenJob({"prompt": "a cat"})
    first = asyncio.create_task(connector.run(job))
    await job.heard.came.wait()
    second = asyncio.create_task(connector.run(GivenJob({"prompt": "a cat"})))
    await asyncio.sleep(0)  # begins, and waits for the first to end
    await stopped(second)
    assert webui.interrupts == []
    await stopped(first)
