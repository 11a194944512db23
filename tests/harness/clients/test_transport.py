"""Clients over asyncio against small servers that answer as a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from harness.clients import (
    ExpectationTimeout,
    HubWorker,
    LegacyClient,
    ModernClient,
    Refused,
    SubmissionRefused,
    Unreachable,
)
from harness.clients.transport import HandshakeRefused, Http, Socket
from harness.processes import free_port
from harness.protocols import EventKind, JobEvent, JobState
from harness.protocols.sse import SseParser
from harness.testing.waiting import until
from tests.harness.clients.serving import serving


def always(status: int = 200, body: object = None) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status) if body is None else web.json_response(body, status=status)

    return answer


async def stream(request: web.Request, *parts: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for part in parts:
        await response.write(part)
    return response


def event(number: int, kind: str, **data: Any) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps({'kind': kind, 'job_id': 'j', **data})}\n\n".encode()


async def test_a_refused_handshake_and_an_empty_port_are_told_apart() -> None:
    socket = Socket(print, print)
    async with serving(web.get("/ws", always(403))) as url:
        with pytest.raises(HandshakeRefused, match="HTTP 403") as refusal:
            await socket.open(url.replace("http", "ws") + "/ws")
    assert refusal.value.status == 403
    with pytest.raises(Unreachable, match="cannot connect to ws://"):
        await socket.open(f"ws://127.0.0.1:{free_port()}/ws")
    assert not await socket.send("into the void")


async def test_a_connection_that_the_server_ends_has_its_code_and_reason() -> None:
    async def hub(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse()
        await server.prepare(request)
        await server.send_json({"type": "error", "error": "Authentication failed: Invalid token"})
        await server.close(code=WSCloseCode.POLICY_VIOLATION, message=b"no token")
        return server

    async with serving(web.get("/ws/client/{id}", hub)) as url, LegacyClient(url, "c") as client:
        await client.expect("error")
        await until(lambda: client.closed)
        assert client.closed == "1008 no token"
        with pytest.raises(ExpectationTimeout, match="its connection closed: 1008 no token"):
            await client.expect("connection_established")
        with pytest.raises(ExpectationTimeout, match="c is not connected"):
            await client.send({"type": "stay_alive"})


async def test_a_submission_that_is_answered_with_an_error_is_refused_at_once() -> None:
    async def hub(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse()
        await server.prepare(request)
        async for frame in server:
            job_id = json.loads(frame.data)["message_id"]
            full = {"type": "error", "error": "Redis is away"}
            await server.send_json(full if job_id == "late" else {"type": "job_accepted", "job_id": job_id})
        return server

    observed: list[JobEvent] = []
    async with (
        serving(web.get("/ws/client/{id}", hub)) as url,
        LegacyClient(url, "c", observe=observed.append) as client,
    ):
        with pytest.raises(SubmissionRefused, match="late: Redis is away"):
            await client.submit(job_id="late")
        assert await client.submit(job_id="next") == "next"
    refused = [(one.job_id, one.error) for one in observed if one.kind is EventKind.REFUSED]
    assert refused == [("late", "Redis is away")]


async def test_an_answer_is_json_or_text_or_nothing() -> None:
    bodies = {"json": b'{"a": 1}', "text": b"oops", "none": b""}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.match_info["what"]])

    async with serving(web.get("/{what}", answer)) as url:
        http = Http(url)
        answers = [await http.send_raw("GET", f"/{what}") for what in bodies]
        await http.close()
    assert [(one.body, one.text, one.fields) for one in answers] == [
        ({"a": 1}, "", {"a": 1}),
        (None, "oops", {}),
        (None, "", {}),
    ]


async def test_what_is_no_stream_is_refused_with_the_servers_answer() -> None:
    async with serving(web.get("/s", always(404, {"detail": "no such job"}))) as url:
        http = Http(url)
        with pytest.raises(Refused, match="GET /s was refused with 404") as refusal:
            async with http.stream("/s", SseParser(), {}):
                pass
        await http.close()
    assert refusal.value.answer.fields == {"detail": "no such job"}


async def test_a_patient_client_repeats_what_was_not_answered_under_the_same_id() -> None:
    bodies: list[dict[str, Any]] = []

    async def jobs(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        if len(bodies) == 1:
            return web.Response(status=503)
        if len(bodies) == 2:
            assert request.transport
            request.transport.abort()
        return web.json_response({"job_id": bodies[-1]["id"]}, status=201)

    observed: list[JobEvent] = []
    async with (
        serving(web.post("/api/jobs", jobs)) as url,
        ModernClient(url, "c", patience_s=20, observe=observed.append) as client,
    ):
        assert await client.submit({"n": 1}, job_id="mine") == "mine"
    assert bodies == [{"service_required": "simulation", "payload": {"n": 1}, "priority": 0, "id": "mine",
                       "client_id": "c"}] * 3  # fmt: skip
    assert [one.kind for one in observed] == [EventKind.SUBMIT, EventKind.ACCEPTED]


async def test_a_client_without_patience_gives_up_at_once() -> None:
    async with serving(web.post("/api/jobs", always(503, {"detail": "full"}))) as url, ModernClient(url) as client:
        with pytest.raises(Refused, match="refused with 503"):
            await client.submit()
    async with ModernClient(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(httpx.ConnectError):
            await client.submit()


async def test_a_job_is_followed_in_the_background_through_cuts_and_refusals() -> None:
    asked: list[str | None] = []

    async def progress(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Last-Event-ID"))
        match len(asked):
            case 1:
                return await stream(request, event(1, "claimed"), b"id: 2\nevent: progress\ndata: half")
            case 2:
                return web.Response(status=503)
            case 3:
                return await stream(request, event(2, "progress", progress=50))
        return await stream(request, event(3, "completed"), event(4, "progress", progress=1))

    observed: list[JobEvent] = []
    async with (
        serving(web.get("/api/jobs/j/progress", progress)) as url,
        ModernClient(url, "c", observe=observed.append) as client,
        asyncio.timeout(10),
    ):
        await client.follow_in_background("j")
    assert asked == [None, "1", "1", "2"]
    assert [one.kind for one in observed] == [
        EventKind.SUBSCRIBED, EventKind.CLAIMED, EventKind.PROGRESS, EventKind.COMPLETED,
    ]  # fmt: skip


async def test_a_stream_that_is_over_ends_without_an_event() -> None:
    async with (
        serving(web.get("/api/jobs/j/progress", always(204))) as url,
        ModernClient(url) as client,
        asyncio.timeout(10),
    ):
        assert [one async for one in client.follow("j", last_event_id="9")] == []
        await client.follow_in_background("j")


@pytest.mark.parametrize(
    ("answer", "state"), [(always(200, {"status": "completed"}), JobState.COMPLETED), (always(404), JobState.UNKNOWN)]
)
async def test_a_job_that_is_not_there_is_unknown(answer: Any, state: JobState) -> None:
    async with serving(web.get("/api/jobs/j", answer)) as url, ModernClient(url) as client:
        assert await client.state("j") is state


async def test_a_worker_whose_hub_drops_it_comes_back_and_plays_the_next_job_from_its_beginning() -> None:
    received: list[list[str]] = []

    async def hub(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse()
        await server.prepare(request)
        received.append([])
        async for frame in server:
            assert frame.type is WSMsgType.TEXT
            received[-1].append(json.loads(frame.data)["type"])
            if received[-1][-1] == "register_worker":
                await server.send_json({"type": "worker_registered"})
                hang = [{"progress": 5}, {"hang": True}]
                script = hang if len(received) == 1 else [{"result": {"ok": 1}}]
                await server.send_json({"type": "job_assigned", "job_id": "j", "params": {"simulate": script}})
            elif received[-1][-1] == "update_job_progress":
                await server.close()
        return server

    async with serving(web.get("/ws/worker/w", hub)) as url, HubWorker(url, "w") as worker:
        await until(lambda: len(received) == 2 and "worker_status" in received[1])
        assert worker.ready.is_set()
    assert received == [
        ["register_worker", "update_job_progress"],
        ["register_worker", "complete_job", "worker_status"],
    ]


async def test_a_close_that_is_called_off_leaves_nobody_reading() -> None:
    """The server answers no close and goes on talking, as one that is busy."""
    heard, done = asyncio.Event(), asyncio.Event()

    async def talking(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse(autoclose=False)
        await server.prepare(request)
        while not done.is_set():
            await server.send_str("word")
            await asyncio.sleep(0.01)
        return server

    async with serving(web.get("/", talking)) as url:
        socket = Socket(lambda _: heard.set(), lambda *_: None, name="who is called off")
        await socket.open(url.replace("http", "ws"))
        await heard.wait()
        closing = asyncio.create_task(socket.close())
        while not closing.done():
            await asyncio.sleep(0.05)
            closing.cancel()
        names = {task.get_name() for task in asyncio.all_tasks()}
        done.set()
    assert "reader of who is called off" not in names
