"""`rest-sync` against a server that answers with results."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from new_stack.worker import JobFailed
from tests.new_stack.worker.connectors.conftest import GivenJob, Open, Serve, stopped


class Kitchen:
    """Answers as the payload's `want` says, and remembers."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[object] = []
        self.hung_up = asyncio.Event()
        self.cooking = asyncio.Event()
        self.cancelled: list[str] = []
        self.app = web.Application()
        self.app.router.add_post("/run", self.run)
        self.app.router.add_post("/cancel/{job_id}", self.cancel)

    async def run(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.json()
        self.bodies.append(body)
        match body["want"]:
            case "json":
                return web.json_response({"dish": body["dish"]})
            case "text":
                return web.Response(text="a dish")
            case "bytes":
                return web.Response(body=b"\x89PNG", content_type="image/png")
            case "huge":
                return web.Response(body=b"x" * 5000)
            case "broken json":
                return web.Response(body=b"{", content_type="application/json")
            case int(status):
                return web.Response(status=status, text="out of eggs")
            case "die":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        self.cooking.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        return web.Response()

    async def cancel(self, request: web.Request) -> web.Response:
        self.cancelled.append(request.match_info["job_id"])
        return web.Response()


@pytest.mark.parametrize(
    ("want", "result"),
    [
        ("json", {"dish": "soup"}),
        ("text", {"text": "a dish"}),
        ("bytes", {"content_type": "image/png", "base64": "iVBORw=="}),
    ],
)
async def test_the_answer_is_the_result(want: str, result: object, serve: Serve, connect: Open) -> None:
    kitchen = Kitchen()
    server = await serve(kitchen.app)
    connector = await connect(f"rest-sync:url={server.make_url('/run')},authorization=Bearer a\\,b")
    assert await connector.run(GivenJob({"want": want, "dish": "soup"})) == result
    [request] = kitchen.requests
    assert request.headers["Authorization"] == "Bearer a,b"
    assert request.headers["X-Job-Id"] == request.headers["Idempotency-Key"] == "job/1"
    assert request.headers["X-Job-Attempt"] == "2"
    assert kitchen.bodies == [{"want": want, "dish": "soup"}]


@pytest.mark.parametrize(
    ("want", "retryable", "said"),
    [
        (500, True, "was answered 500: out of eggs"),
        (503, True, "was answered 503"),
        (429, True, "was answered 429"),
        (400, False, "was answered 400: out of eggs"),
        (404, False, "was answered 404"),
        ("die", True, "Server disconnected"),
        ("broken json", True, "is not JSON"),
        ("huge", False, "larger than 1000 bytes"),
    ],
)
async def test_what_goes_wrong_is_a_failure_that_says_so(
    want: object, retryable: bool, said: str, serve: Serve, connect: Open
) -> None:
    server = await serve(Kitchen().app)
    connector = await connect(f"rest-sync:url={server.make_url('/run')},max_response_bytes=1000")
    with pytest.raises(JobFailed, match=said) as caught:
        await connector.run(GivenJob({"want": want}))
    assert caught.value.retryable is retryable


async def test_a_back_end_that_does_not_answer_in_time_is_a_failure(serve: Serve, connect: Open) -> None:
    server = await serve(Kitchen().app)
    connector = await connect(f"rest-sync:url={server.make_url('/run')},timeout_s=0.2")
    with pytest.raises(JobFailed, match="no answer in time"):
        await connector.run(GivenJob({"want": "hang"}))


async def test_a_back_end_that_is_not_there_is_a_failure(unused_tcp_port: int, connect: Open) -> None:
    connector = await connect(f"rest-sync:url=http://127.0.0.1:{unused_tcp_port}/run")
    with pytest.raises(JobFailed, match="Cannot connect") as caught:
        await connector.run(GivenJob({}))
    assert caught.value.retryable


async def test_a_back_end_that_goes_away_mid_job_is_a_failure(serve: Serve, connect: Open) -> None:
    kitchen = Kitchen()
    server = await serve(kitchen.app)
    connector = await connect(f"rest-sync:url={server.make_url('/run')}")
    running = asyncio.create_task(connector.run(GivenJob({"want": "hang"})))
    await kitchen.cooking.wait()
    await server.close()
    with pytest.raises(JobFailed, match="Server disconnected"):
        await running


async def test_stopping_a_job_closes_its_connection_and_calls_the_cancel_url(serve: Serve, connect: Open) -> None:
    kitchen = Kitchen()
    server = await serve(kitchen.app)
    cancel_url = str(server.make_url("/cancel/")) + "{job_id}"
    connector = await connect(f"rest-sync:url={server.make_url('/run')},cancel_url={cancel_url}")
    running = asyncio.create_task(connector.run(GivenJob({"want": "hang"})))
    await kitchen.cooking.wait()
    await stopped(running)
    assert kitchen.cancelled == ["job/1"]
