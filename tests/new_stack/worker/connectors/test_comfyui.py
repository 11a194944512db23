"""`comfyui` against a server with ComfyUI's routes, queue, messages and history."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from harness.testing.waiting import until
from new_stack.worker import Connector, JobFailed
from tests.new_stack.worker.connectors.conftest import GivenJob, Open, Serve, stopped

WORKFLOW = {"1": {"class_type": "Loader"}, "2": {"class_type": "KSampler"}, "3": {"class_type": "SaveImage"}, "4": {}}
IMAGE = {"filename": "cat 1.png", "subfolder": "", "type": "output"}


class Comfy:
    """One prompt at a time; `mishap` is what befalls it."""

    def __init__(self, mishap: str = "") -> None:
        self.mishap = mishap
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.running: list[list[Any]] = []
        self.pending: list[list[Any]] = []
        self.history: dict[str, Any] = {}
        self.interrupts: list[Any] = []
        self.at_work = asyncio.Event()
        self.go_on = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/ws", self.connect),
                web.post("/prompt", self.prompt),
                web.get("/history/{id}", self.tell_history),
                web.get("/queue", self.tell_queue),
                web.post("/queue", self.change_queue),
                web.post("/interrupt", self.interrupt),
            ]
        )

    async def connect(self, request: web.Request) -> web.StreamResponse:
        if self.mishap == "no socket":
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[request.query["clientId"]] = socket
        await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}})
        async for _ in socket:
            pass
        return socket

    async def prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.mishap == "deaf":
            await asyncio.Event().wait()
        if "bad" in body["prompt"]:
            error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed", "details": ""}
            nodes = {"bad": {"errors": [{"message": "Value not in list"}], "class_type": "Loader"}}
            return web.json_response({"error": error, "node_errors": nodes}, status=400)
        number = len(self.running) + len(self.pending)
        row = [number, f"prompt-{number}", body["prompt"], {"client_id": body["client_id"]}, []]
        if self.running:
            self.pending.append(row)
        else:
            self.running.append(row)
            self.tasks.append(asyncio.create_task(self.work(row[1], body["client_id"])))
        return web.json_response({"prompt_id": row[1], "number": number, "node_errors": {}})

    async def work(self, prompt_id: str, client_id: str) -> None:
        async def say(kind: str, **data: Any) -> None:
            socket = self.sockets.get(client_id)
            if socket is not None and not socket.closed:
                await socket.send_json({"type": kind, "data": data | {"prompt_id": prompt_id}})

        await say("execution_start")
        await say("execution_cached", nodes=["1"])
        await say("executing", node="2")
        await say("progress", node="2", value=1, max=2)
        if client_id in self.sockets:
            await self.sockets[client_id].send_bytes(b"\x00\x00\x00\x01preview")
        await say("progress", node="2", value=2, max=2)
        self.at_work.set()
        match self.mishap:
            case "hang":
                await self.go_on.wait()
            case "out of memory":
                error = {"node_id": "2", "node_type": "KSampler", "exception_type": "torch.OutOfMemoryError"}
                await say("execution_error", **error, exception_message="Allocation failed\n")
                return
            case "interrupted":
                await say("execution_interrupted", node_id="2")
                return
            case "socket breaks":
                await self.sockets[client_id].close()
            case "restart":
                self.running.clear()
                await self.sockets[client_id].close()
                return
        await say("executing", node="3")
        await say("executed", node="3", output={"images": [IMAGE]})
        self.remember(prompt_id)
        self.running.clear()
        await say("executing", node=None)
        await say("execution_success")

    def remember(self, prompt_id: str) -> None:
        status: dict[str, Any] = {"status_str": "success", "completed": True, "messages": []}
        if self.mishap == "fails unseen":
            data = {"node_id": "2", "node_type": "KSampler", "exception_message": "NaN"}
            status = {"status_str": "error", "completed": False, "messages": [["execution_error", data]]}
        self.history[prompt_id] = {"outputs": {"3": {"images": [IMAGE], "animated": [False]}}, "status": status}

    async def tell_history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        return web.json_response({key: entry for key, entry in self.history.items() if key == prompt_id})

    async def tell_queue(self, request: web.Request) -> web.Response:
        return web.json_response({"queue_running": self.running, "queue_pending": self.pending})

    async def change_queue(self, request: web.Request) -> web.Response:
        gone = set((await request.json())["delete"])
        self.pending = [row for row in self.pending if row[1] not in gone]
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        self.interrupts.append(await request.json())
        return web.Response()


async def connected(server: TestServer, connect: Open, poll_s: float = 0.05) -> Connector:
    return await connect(f"comfyui:url={server.make_url('/')},poll_s={poll_s},poll_failures=3")


async def test_a_workflow_runs_with_progress_and_its_files_are_named(serve: Serve, connect: Open) -> None:
    server = await serve(Comfy().app)
    connector = await connected(server, connect, poll_s=60)
    job = GivenJob({"workflow": WORKFLOW})
    async with asyncio.timeout(5):
        result = await connector.run(job)
    assert result["prompt_id"] == "prompt-0"
    assert result["outputs"]["3"]["images"] == [IMAGE]
    url = f"{server.make_url('/view')}?filename=cat+1.png&subfolder=&type=output"
    assert result["files"] == [IMAGE | {"node": "3", "kind": "images", "url": url}]
    assert job.heard.percents == [25, 37.5, 50, 75]


@pytest.mark.parametrize("mishap", ["no socket", "socket breaks"])
async def test_without_its_socket_a_workflow_is_followed_by_the_history(
    mishap: str, serve: Serve, connect: Open
) -> None:
    connector = await connected(await serve(Comfy(mishap).app), connect)
    async with asyncio.timeout(5):
        assert (await connector.run(GivenJob(WORKFLOW)))["outputs"]["3"]["images"] == [IMAGE]


@pytest.mark.parametrize(
    ("mishap", "said"),
    [
        ("out of memory", r"^node 2 \(KSampler\): torch.OutOfMemoryError: Allocation failed$"),
        ("interrupted", "interrupted on the server"),
        ("restart", "the server has forgotten the workflow"),
        ("fails unseen", r"^node 2 \(KSampler\): NaN$"),
    ],
)
async def test_a_workflow_that_fails_says_why_and_may_be_tried_again(
    mishap: str, said: str, serve: Serve, connect: Open
) -> None:
    connector = await connected(await serve(Comfy(mishap).app), connect)
    with pytest.raises(JobFailed, match=said) as caught:
        async with asyncio.timeout(5):
            await connector.run(GivenJob(WORKFLOW))
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"prompt": {"bad": {"class_type": "Loader"}}}, "^Prompt outputs failed; node bad: Value not in list$"),
        ({"prompt": "a cat"}, "holds no workflow"),
        ({}, "holds no workflow"),
    ],
)
async def test_a_workflow_that_cannot_run_is_not_tried_again(
    payload: dict[str, Any], said: str, serve: Serve, connect: Open
) -> None:
    connector = await connected(await serve(Comfy().app), connect)
    with pytest.raises(JobFailed, match=said) as caught:
        await connector.run(GivenJob(payload))
    assert not caught.value.retryable


async def test_a_server_that_goes_away_mid_job_is_a_failure(serve: Serve, connect: Open) -> None:
    comfy = Comfy("hang")
    server = await serve(comfy.app)
    connector = await connected(server, connect)
    running = asyncio.create_task(connector.run(GivenJob(WORKFLOW)))
    await comfy.at_work.wait()
    await server.close()
    with pytest.raises(JobFailed, match="Cannot connect"):
        async with asyncio.timeout(5):
            await running


async def test_a_server_that_does_not_answer_in_time_is_a_failure(serve: Serve, connect: Open) -> None:
    server = await serve(Comfy("deaf").app)
    connector = await connect(f"comfyui:url={server.make_url('/')},timeout_s=0.2")
    with pytest.raises(JobFailed, match="no answer in time"):
        async with asyncio.timeout(3):
            await connector.run(GivenJob(WORKFLOW))


async def test_stopping_the_running_workflow_interrupts_it(serve: Serve, connect: Open) -> None:
    comfy = Comfy("hang")
    connector = await connected(await serve(comfy.app), connect)
    running = asyncio.create_task(connector.run(GivenJob(WORKFLOW)))
    await comfy.at_work.wait()
    await stopped(running)
    assert comfy.interrupts == [{"prompt_id": "prompt-0"}]


async def test_stopping_a_waiting_workflow_leaves_the_running_one_alone(serve: Serve, connect: Open) -> None:
    comfy = Comfy("hang")
    connector = await connected(await serve(comfy.app), connect)
    first = asyncio.create_task(connector.run(GivenJob(WORKFLOW)))
    await comfy.at_work.wait()
    second = asyncio.create_task(connector.run(GivenJob(WORKFLOW)))
    await until(lambda: comfy.pending)
    await stopped(second)
    assert (comfy.pending, comfy.interrupts) == ([], [])
    comfy.go_on.set()
    async with asyncio.timeout(5):
        assert (await first)["prompt_id"] == "prompt-0"
