"""The back ends that connectors call, as far as they are called: what is asked for stands in the payload's `does`."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

PICTURE: Final = base64.b64encode(b"\x89PNG a cat").decode()
LARGE: Final = 4_000
"""More than an answer may have."""
FAILURES: Final = {"busy": 429, "broken": 500, "gone": 404}
"""Answers to a first request."""
STATES: Final[dict[str, list[Any]]] = {
    "works": [
        {"state": "queued"},
        {"state": "running", "part": 0.25, "says": "warming"},
        500,
        {"state": "OK", "out": [1]},
    ],
    "whole": [{"state": "ok", "part": 1, "n": 7}],
    "fails": [{"state": "broken", "why": "no ink"}],
    "forgets": [{"state": "running"}, 404],
    "stays away": [503],
    "hangs": [{"state": "running", "part": 0.5}],
}
"""How a job at the bureau stands, each time that it is asked."""
FRAMES: Final[dict[str, list[Any]]] = {
    "works": [
        {"type": "progress", "progress": 30, "message": "a third"},
        {"type": "alive"},
        {"type": "progress", "progress": 300},
        {"type": "result", "result": {"ok": 1}},
    ],
    "fails": [{"type": "error", "error": "no GPU"}],
    "for good": [{"type": "error", "error": "bad size", "retryable": False}],
    "hangs up": [{"type": "progress", "progress": 5}, None],
    "babbles": ["not json"],
    "silent": [],
    "hangs": [{"type": "progress", "progress": 5}, {"type": "alive"}],
}
"""What is said of a job over a socket; None hangs up."""


class BackEnds:
    """All of them on one port, and what they were asked."""

    def __init__(self) -> None:
        self.url = ""
        self.tried: Counter[str] = Counter()
        self.heard: dict[str, dict[str, Any]] = {}
        """By job id the headers and the body of the last request to the plain one."""
        self.cancelled: list[str] = []
        self._asked: Counter[str] = Counter()
        self._does: dict[str, str] = {}
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._workflows: dict[str, dict[str, Any]] = {}
        self._polls = self._at_work = self.most_at_work = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        """Their routes."""
        app = web.Application()
        post, get = web.post, web.get
        bureau = (post("/jobs", self._take), get("/jobs/{id}", self._state), web.delete("/jobs/{id}", self._cancel))
        comfy = (get("/ws", self._listen), post("/prompt", self._prompt), get("/history/{id}", self._history))
        queue = (get("/queue", self._queue), post("/queue", self._unqueue), post("/interrupt", self._interrupt))
        drawing = (post("/sdapi/v1/txt2img", self._draw), get("/sdapi/v1/progress", self._drawn))
        plain = (post("/plain/{service}/{id}", self._plain), post("/stop/{id}", self._cancel), get("/line", self._line))
        app.add_routes([*bureau, *comfy, *queue, *drawing, *plain, post("/sdapi/v1/interrupt", self._interrupt)])
        return app

    # a plain one: it answers at once
    async def _plain(self, request: web.Request) -> web.StreamResponse:
        job_id, body = request.match_info["id"], await request.json()
        self.heard[job_id] = {"headers": dict(request.headers), "body": body, "service": request.match_info["service"]}
        self.tried[job_id] += 1
        does = body["does"]
        if does in FAILURES and self.tried[job_id] == 1:
            return web.Response(status=FAILURES[does], text=f"it is {does}")
        if does == "hangs":
            await asyncio.Event().wait()
        if does == "text":
            return web.Response(text="ä text")
        if does == "picture":
            return web.Response(body=b"\x00\xff", content_type="image/png")
        if does == "large":
            return web.Response(text="x" * LARGE)
        fails = {"success": False, "error": "no ink"}
        return web.json_response(fails if does == "fails" else {"n": self.tried[job_id]})

    async def _cancel(self, request: web.Request) -> web.Response:
        self.cancelled.append(request.match_info["id"])
        return web.Response()

    # a bureau: it takes jobs, and is asked how they stand
    async def _take(self, request: web.Request) -> web.Response:
        number = f"{request.headers['X-Job-Id']}-{request.headers['X-Job-Attempt']}"
        self._does[number] = (await request.json())["does"]
        return web.json_response({} if self._does[number] == "nameless" else {"job": {"ref": number}}, status=202)

    async def _state(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        states = STATES[self._does[number]]
        state = states[min(self._asked[number], len(states) - 1)]
        self._asked[number] += 1
        return web.Response(status=state) if isinstance(state, int) else web.json_response({"data": state})

    # a line: a socket for each job
    async def _line(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        job = await socket.receive_json()
        self.heard[job["job_id"]] = job
        for frame in FRAMES[job["payload"]["does"]]:
            if frame is None:
                await socket.close()
            else:
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_json(frame))
        async for message in socket:
            if message.json()["type"] == "cancel":
                self.cancelled.append(message.json()["job_id"])
        return socket

    # ComfyUI: workflows are queued, told of over a socket, and read from the history
    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        socket = self._sockets[request.query["clientId"]] = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        does, prompt_id = body["prompt"]["1"]["does"], f"prompt-{len(self._workflows) + 1}"
        if does == "wrong":
            nodes = {"1": {"errors": [{"message": "Value not in list"}]}}
            said = {"error": {"message": "Prompt outputs failed", "details": "all"}, "node_errors": nodes}
            return web.json_response(said, status=400)
        self._workflows[prompt_id] = {"does": does}
        task = asyncio.create_task(self._work(prompt_id, does, self._sockets[body["client_id"]]))
        self._tasks.add(task)
        return web.json_response({"prompt_id": prompt_id})

    async def _work(self, prompt_id: str, does: str, socket: web.WebSocketResponse) -> None:
        async def say(kind: str, **data: Any) -> None:
            await socket.send_json({"type": kind, "data": {"prompt_id": prompt_id} | data})

        await say("executing", node="9", prompt_id="another's")
        await say("execution_cached", nodes=["1"])
        await say("executing", node="2")
        await socket.send_bytes(b"\x00preview")
        await say("progress", node="2", value=1, max=2)
        if does == "memory":
            error = {"node_id": "2", "node_type": "KSampler", "exception_type": "OutOfMemoryError"}
            return await say("execution_error", **error, exception_message="Allocation failed\n")
        if does == "hangs":
            return None
        if does == "breaks":
            await socket.close()
        images = {"images": [{"filename": "cat 1.png", "subfolder": "", "type": "output"}]}
        self._workflows[prompt_id] |= {"outputs": {"4": images}, "status": {"completed": True}}
        if does == "works":
            await say("executing", node="3")
            await say("executing", node=None)
        return None

    async def _history(self, request: web.Request) -> web.Response:
        found = self._workflows.get(request.match_info["id"], {})
        return web.json_response({request.match_info["id"]: found} if "status" in found else {})

    async def _queue(self, _request: web.Request) -> web.Response:
        running = [[0, name] for name, one in self._workflows.items() if "status" not in one]
        return web.json_response({"queue_running": running, "queue_pending": []})

    async def _unqueue(self, request: web.Request) -> web.Response:
        self.cancelled += [f"off the queue: {name}" for name in (await request.json())["delete"]]
        return web.Response()

    async def _interrupt(self, _request: web.Request) -> web.Response:
        self.cancelled.append("interrupted")
        return web.Response()

    # the web UI of AUTOMATIC1111
    async def _draw(self, request: web.Request) -> web.Response:
        does, before = (await request.json())["does"], self._polls
        self._at_work += 1
        self.most_at_work = max(self.most_at_work, self._at_work)
        try:
            while does == "hangs" or self._polls < before + 3:  # noqa: ASYNC110 - as the real one, whoever asks
                await asyncio.sleep(0.02)
        finally:
            self._at_work -= 1
        said = {"images": [PICTURE], "parameters": {"steps": 2}, "info": '{"seed": 7}'}
        return web.json_response({"detail": "none"} if does == "imageless" else said)

    async def _drawn(self, _request: web.Request) -> web.Response:
        self._polls += 1
        return web.json_response({"progress": (0.25, 0.5, 0.5)[self._polls % 3]})


@asynccontextmanager
async def back_ends() -> AsyncIterator[BackEnds]:
    """All back ends on a port of their own."""
    found = BackEnds()
    runner = web.AppRunner(found.app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()
