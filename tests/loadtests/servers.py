"""A small server that answers like a hub and like a stack, with delays and faults that a test chooses."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import WSMsgType, web


class Script:
    """How the server behaves. Times are seconds."""

    claim_after = 0.02
    step_every = 0.02
    tell_after = 0.0
    """How much later than the worker's stamp progress is delivered."""
    stall: tuple[float, float] | None = None
    """From the first submission on: between these seconds, nothing at all is answered."""
    forget_every = 0
    """Every so many-th job is acknowledged and never heard of again."""
    refuse_every = 0
    end_twice = False
    cut_sockets_after = 0.0
    """WebSockets of clients: break each of the first connections after so many seconds."""
    cut_sockets = 2
    cut_streams_after = 0
    """SSE: break the connection after so many events, once for each job."""


class Server:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.jobs: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self.status: dict[str, str] = {}
        self.changed: asyncio.Condition
        self.resumed_from: list[str] = []
        self.submitted = 0
        self.submitted_at: list[float] = []
        self.connections = 0
        self._first = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws/client/{id}", self.client)
        app.router.add_get("/ws/monitor/{id}", self.monitor)
        app.router.add_post("/api/jobs", self.post)
        app.router.add_get("/api/jobs/{id}", self.get)
        app.router.add_get("/api/jobs/{id}/progress", self.progress)
        app.router.add_get("/api/events", self.all_events)
        return app

    async def stalled(self) -> None:
        self._first = self._first or time.monotonic()
        if self.script.stall:
            start, end = self.script.stall
            if start <= time.monotonic() - self._first < end:
                await asyncio.sleep(self._first + end - time.monotonic())

    async def take(self, job_id: str, payload: dict[str, Any]) -> str | None:
        """Take a job on; answers a refusal."""
        await self.stalled()
        self.submitted += 1
        self.submitted_at.append(time.monotonic())
        if self.script.refuse_every and self.submitted % self.script.refuse_every == 0:
            return f"no room for job {job_id}"
        if self.script.forget_every and self.submitted % self.script.forget_every == 0:
            return None
        self.jobs[job_id] = []
        self.status[job_id] = "pending"
        task = asyncio.create_task(self.run(job_id, payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    async def happen(self, job_id: str, kind: str, **more: Any) -> None:
        await self.stalled()
        async with self.changed:
            self.jobs[job_id].append((kind, {"job_id": job_id, "kind": kind, "at": int(time.time() * 1000), **more}))
            self.changed.notify_all()

    async def run(self, job_id: str, payload: dict[str, Any]) -> None:
        await self.happen(job_id, "submitted")
        await asyncio.sleep(self.script.claim_after)
        self.status[job_id] = "claimed"
        await self.happen(job_id, "claimed", worker_id="w", attempt=1)
        for step in payload.get("simulate", [{"progress": 50}]):
            if "progress" in step:
                await asyncio.sleep(self.script.step_every)
                details = {"sent_at": time.time()}
                await asyncio.sleep(self.script.tell_after)
                await self.happen(job_id, "progress", progress=step["progress"], details=details)
        self.status[job_id] = "completed"
        for _ in range(2 if self.script.end_twice else 1):
            await self.happen(job_id, "completed", result={})

    # REST and SSE

    async def post(self, request: web.Request) -> web.Response:
        body = await request.json()
        refusal = await self.take(body["id"], body["payload"])
        if refusal:
            return web.json_response({"title": "refused", "detail": refusal}, status=503)
        return web.json_response({"job_id": body["id"], "status": "pending"}, status=201)

    async def get(self, request: web.Request) -> web.Response:
        job_id = request.match_info["id"]
        if job_id not in self.status:
            return web.json_response({"detail": f"Job with ID {job_id} not found"}, status=404)
        return web.json_response({"job_id": job_id, "status": self.status[job_id]})

    async def progress(self, request: web.Request) -> web.StreamResponse:
        job_id = request.match_info["id"]
        after = request.headers.get("Last-Event-ID", "")
        if after:
            self.resumed_from.append(after)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": hello\nretry: 50\n\n")
        sent = int(after or 0)
        while True:
            async with self.changed:
                while len(self.jobs.get(job_id, [])) <= sent:
                    await self.changed.wait()
                news = self.jobs[job_id][sent:]
            for kind, data in news:
                sent += 1
                await response.write(f"id: {sent}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode())
                if kind == "completed" and not self.script.end_twice:
                    return response
                if self.script.cut_streams_after and sent == self.script.cut_streams_after and not after:
                    assert request.transport
                    request.transport.abort()
                    return response

    async def all_events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": hello\n\n")
        async for kind, data in self.everything():
            await response.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())
        return response

    async def everything(self) -> Any:
        sent: dict[str, int] = {}
        while True:
            async with self.changed:
                await self.changed.wait()
                fresh = [one for job_id, events in self.jobs.items() for one in events[sent.get(job_id, 0) :]]
                sent = {job_id: len(events) for job_id, events in self.jobs.items()}
            for one in fresh:
                yield one

    # the legacy WebSocket

    async def client(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        await socket.send_json({"type": "connection_established", "message": "Welcome"})
        if self.script.cut_sockets_after and self.connections <= self.script.cut_sockets:
            transport = request.transport
            assert transport
            asyncio.get_running_loop().call_later(self.script.cut_sockets_after, transport.abort)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self.answer(socket, message.json())
        return socket

    async def answer(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["type"] == "submit_job":
            job_id = message["message_id"]
            refusal = await self.take(job_id, message["payload"])
            if refusal:
                await socket.send_json({"type": "error", "error": refusal})
                return
            await socket.send_json({"type": "job_accepted", "job_id": job_id, "timestamp": time.time()})
            if job_id in self.jobs:
                task = asyncio.create_task(self.tell(socket, job_id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        elif message["type"] == "request_job_status":
            job_id = message["job_id"]
            if job_id in self.status:
                await socket.send_json({"type": "response_job_status", "job_id": job_id, "status": self.status[job_id]})
            else:
                await socket.send_json({"type": "error", "error": f"Job {job_id} not found"})

    async def tell(self, socket: web.WebSocketResponse, job_id: str) -> None:
        sent = 0
        while True:
            async with self.changed:
                while len(self.jobs[job_id]) <= sent:
                    await self.changed.wait()
                news = self.jobs[job_id][sent:]
            for kind, data in news:
                sent += 1
                if socket.closed:
                    return
                await socket.send_json(frame_of(kind, data))
                if kind == "completed" and not self.script.end_twice:
                    return

    async def monitor(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "connection_established", "message": "Welcome"})
        async for kind, data in self.everything():
            await socket.send_json(frame_of(kind, data))
        return socket


def frame_of(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    common = {"job_id": data["job_id"], "timestamp": data["at"] / 1000}
    match kind:
        case "claimed":
            return {"type": "response_job_status", "status": "processing", "worker_id": "w", **common}
        case "progress":
            details = data["details"]
            return {"type": "update_job_progress", "progress": data["progress"], "connector_details": details, **common}
        case "completed":
            return {"type": "complete_job", "result": {}, **common}
    return {"type": "nothing_known", **common}


@contextmanager
def serving(script: Script | None = None) -> Iterator[tuple[str, Server]]:
    """The server on a free port of the loopback, in a thread of its own."""
    server = Server(script or Script())
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    ready: list[str] = []

    async def start() -> None:
        server.changed = asyncio.Condition()
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.append(f"http://127.0.0.1:{runner.addresses[0][1]}")

    async def end() -> None:
        await runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield ready[0], server
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
