"""`websocket` against a server that takes jobs over a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from new_stack.worker import Connector, JobFailed
from tests.new_stack.worker.connectors.conftest import GivenJob, Open, Serve, stopped


class Line:
    """Answers each job with `frames` (a dict is a message, a str goes as it is, None hangs up)."""

    def __init__(self, *frames: dict[str, Any] | str | bytes | None) -> None:
        self.frames = frames
        self.heard: list[dict[str, Any]] = []
        self.taken = asyncio.Event()
        self.told_to_cancel = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_get("/ws", self.serve)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.heard.append(await socket.receive_json())
        self.taken.set()
        for frame in self.frames:
            match frame:
                case None:
                    assert request.transport is not None
                    request.transport.abort()
                case dict():
                    await socket.send_json(frame)
                case str():
                    await socket.send_str(frame)
                case bytes():
                    await socket.send_bytes(frame)
        async for message in socket:
            self.heard.append(message.json())
            self.told_to_cancel.set()
        return socket


async def connected(server: TestServer, connect: Open, more: str = "") -> Connector:
    return await connect(f"websocket:url={server.make_url('/ws')}{more}")


async def test_a_job_is_sent_followed_and_its_result_received(serve: Serve, connect: Open) -> None:
    line = Line(
        {"type": "progress", "progress": 30, "message": "a third"},
        {"type": "alive"},
        {"type": "progress", "progress": 300},
        {"type": "result", "result": {"ok": 1}},
    )
    connector = await connected(await serve(line.app), connect)
    job = GivenJob({"x": 1})
    assert await connector.run(job) == {"ok": 1}
    assert [(update.progress, update.message) for update in job.heard.updates] == [(30, "a third"), (100, None)]
    job_message = {"type": "job", "job_id": "job/1", "attempt": 2, "service": "pictures", "payload": {"x": 1}}
    assert line.heard[0] == job_message


async def test_jobs_at_once_get_each_its_own_answer(serve: Serve, connect: Open) -> None:
    arrived: dict[int, web.WebSocketResponse] = {}

    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        job = await socket.receive_json()
        arrived[job["payload"]["n"]] = socket
        if len(arrived) == 3:
            for number in (2, 0, 1):
                await arrived[number].send_json({"type": "result", "result": number})
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_get("/ws", answer)
    connector = await connected(await serve(app), connect)
    assert await asyncio.gather(*(connector.run(GivenJob({"n": number})) for number in range(3))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("frames", "retryable", "said"),
    [
        ([{"type": "error", "error": "no GPU"}], True, "^no GPU$"),
        ([{"type": "error", "error": "bad size", "retryable": False}], False, "^bad size$"),
        ([{"type": "progress", "progress": 5}, None], True, "closed the connection before the job's end"),
        (["not json"], True, "no message"),
        (["[1]"], True, "no message"),
        ([b"\x00"], True, "closed the connection"),
        ([], True, "said nothing for 0.3 s"),
    ],
)
async def test_what_goes_wrong_is_a_failure_that_says_so(
    frames: list[Any], retryable: bool, said: str, serve: Serve, connect: Open
) -> None:
    connector = await connected(await serve(Line(*frames).app), connect, ",silence_s=0.3")
    with pytest.raises(JobFailed, match=said) as caught:
        await connector.run(GivenJob({}))
    assert caught.value.retryable is retryable


async def test_a_back_end_that_is_not_there_is_a_failure(unused_tcp_port: int, connect: Open) -> None:
    connector = await connect(f"websocket:url=ws://127.0.0.1:{unused_tcp_port}/ws")
    with pytest.raises(JobFailed, match="Cannot connect"):
        await connector.run(GivenJob({}))


async def test_stopping_a_job_tells_the_back_end(serve: Serve, connect: Open) -> None:
    line = Line({"type": "progress", "progress": 1})
    connector = await connected(await serve(line.app), connect)
    running = asyncio.create_task(connector.run(GivenJob({})))
    await line.taken.wait()
    await stopped(running)
    async with asyncio.timeout(2):
        await line.told_to_cancel.wait()
    assert line.heard[-1] == {"type": "cancel", "job_id": "job/1"}
