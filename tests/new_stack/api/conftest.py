"""The server on a real socket, over the session's real Valkey."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from harness.testing.waiting import until
from new_stack.api.app import create_app
from new_stack.api.services import Services
from new_stack.api.settings import ApiSettings
from new_stack.api.streaming.fanout import of_job
from new_stack.queue import Completed, Lease, ProgressUpdate, Queue, QueueSettings

HUB_FIELDS = {
    "job_id",
    "status",
    "job_type",
    "client_id",
    "worker_id",
    "created_at",
    "claimed_at",
    "completed_at",
    "position",
    "display_position",
    "progress",
    "result",
    "error",
    "position_description",
    "payload",
    "failures",
}


# the hub's REST
"""Of a job, as the hub's REST answers it."""


class Socket:
    """A WebSocket that a test talks through; every wait has a deadline."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = raw

    async def send(self, **message: Any) -> None:
        await self.raw.send_json(message)

    async def receive(self, seconds: float = 5.0) -> dict[str, Any]:
        message = await self.raw.receive(timeout=seconds)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        found: dict[str, Any] = json.loads(message.data)
        return found

    async def receive_types(self, count: int) -> list[str]:
        return [(await self.receive())["type"] for _ in range(count)]

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of this type; what comes before it is dropped."""
        async with asyncio.timeout(10):
            while True:
                message = await self.receive(10)
                if message["type"] == kind:
                    return message

    async def silent(self, seconds: float = 0.3) -> bool:
        try:
            await self.raw.receive(timeout=seconds)
        except TimeoutError:
            return True
        return False

    async def closed(self) -> int | None:
        """Wait for the close; answers its code."""
        async with asyncio.timeout(10):
            while (await self.raw.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.raw.close_code


@dataclass(frozen=True)
class SseEvent:
    id: str
    event: str
    data: Any


@dataclass
class Api:
    """One server, and a client of it."""

    base: str
    services: Services
    session: aiohttp.ClientSession

    @property
    def queue(self) -> Queue:
        return self.services.queue

    async def followed(self, job_id: str, by: int = 1) -> None:
        """Wait until so many readers follow the job."""
        await until(lambda: len(self.services.fanout.followers(of_job(job_id))) >= by)

    async def pending(self, count: int = 1) -> None:
        """Wait until so many jobs are pending."""
        async with asyncio.timeout(10):
            while (await self.queue.counts()).pending != count:
                await asyncio.sleep(0.005)

    async def post(self, path: str, body: Any, status: int = 201, **options: Any) -> Any:
        async with self.session.post(self.base + path, json=body, **options) as response:
            text = await response.text()
            assert response.status == status, text
            return json.loads(text) if text else None

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        async with self.session.get(self.base + path, **options) as response:
            text = await response.text()
            assert response.status == status, text
            return json.loads(text) if text else None

    async def submit(self, **fields: Any) -> str:
        job = {"service_required": "simulation", "payload": {"prompt": "a cat"}} | fields
        job_id: str = (await self.post("/api/jobs", job))["job_id"]
        return job_id

    async def socket(self, path: str, **options: Any) -> Socket:
        return Socket(await self.session.ws_connect(self.base + path, max_msg_size=0, **options))

    async def client(self, name: str = "client-a") -> Socket:
        socket = await self.socket(f"/ws/client/{name}")
        assert (await socket.receive())["type"] == "connection_established"
        return socket

    async def sse(self, path: str, last: str | None = None) -> AsyncIterator[SseEvent]:
        headers = {} if last is None else {"Last-Event-ID": last}
        async with self.session.get(self.base + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            async for event in parse(response):
                yield event

    async def whole(self, path: str, last: str | None = None) -> list[SseEvent]:
        async with asyncio.timeout(10):
            return [event async for event in self.sse(path, last)]


async def parse(response: aiohttp.ClientResponse) -> AsyncIterator[SseEvent]:
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if not line:
            if "data" in fields:
                data = json.loads(fields["data"])
                yield SseEvent(fields.get("id", ""), fields.get("event") or data["kind"], data)
            fields = {}
        elif not line.startswith(":"):
            name, _, text = line.partition(": ")
            fields[name] = f"{fields[name]}\n{text}" if name in fields else text


StartApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start_api(settings: QueueSettings) -> AsyncIterator[StartApi]:
    """Start servers side by side on one Redis: `await start_api(token="s3cret")`."""
    async with AsyncExitStack() as stack:

        async def start(redis: QueueSettings = settings, **changes: Any) -> Api:
            queue = await Queue.connect(redis)
            stack.push_async_callback(queue.close)
            services = Services(queue, ApiSettings(queue=redis, port=0, **changes))
            runner = web.AppRunner(create_app(services), handler_cancellation=True, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            stack.callback(services.fanout.stop)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**23)
            stack.push_async_callback(session.close)
            await asyncio.sleep(0)
            return Api(f"http://127.0.0.1:{port}", services, session)

        yield start


@pytest.fixture
async def api(start_api: StartApi) -> Api:
    """A server with default settings."""
    return await start_api()


class Work:
    """A worker's hands."""

    def __init__(self, queue: Queue, name: str = "worker-a") -> None:
        self.queue = queue
        self.name = name

    async def claim(self) -> Lease:
        leases = await self.queue.claim(self.name)
        assert leases
        return leases[0]

    async def progress(self, lease: Lease, percent: float) -> None:
        await self.queue.progress(lease, ProgressUpdate(progress=percent, message=f"step {percent:g}"))

    async def complete(self, lease: Lease, result: Any = None) -> None:
        encoded = msgspec.Raw(msgspec.json.encode({"status": "success"} if result is None else result))
        await self.queue.end(Completed(lease=lease, result=encoded))

    async def whole_job(self, *steps: float) -> Lease:
        lease = await self.claim()
        for percent in steps:
            await self.progress(lease, percent)
        await self.complete(lease)
        return lease


@pytest.fixture
def work(queue: Queue) -> Work:
    """A worker on the same Redis, through a connection of its own."""
    return Work(queue)


class Switchboard:
    """A deprecation.toml that is changed as an operator would: written beside it, then moved there."""

    def __init__(self, path: Path, start: StartApi) -> None:
        self.path = path
        self._start = start

    def write(self, text: str) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.path)

    async def api(self, text: str = "", **settings: Any) -> Api:
        self.write(text)
        return await self._start(deprecation_file=str(self.path), **settings)


@pytest.fixture
def board(tmp_path: Path, start_api: StartApi) -> Switchboard:
    return Switchboard(tmp_path / "deprecation.toml", start_api)
