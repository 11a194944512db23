"""A server to talk to, a proxy that can cut connections, and an old hub with a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from harness.processes import Processes, services
from new_stack.client import Gap, HybridClient, JobEvent, Timeouts
from tests.new_stack.api.conftest import Api, StartApi, start_api

__all__ = ["Api", "StartApi", "start_api"]

ROOT = Path(__file__).parents[3]

QUICK = Timeouts(request_s=5, connect_s=2, idle_timeout_s=2, retry_budget_s=5)


async def collect(client: HybridClient, job_id: str, **more: Any) -> list[JobEvent | Gap]:
    async with asyncio.timeout(15):
        return [event async for event in client.follow(job_id, **more)]


class Proxy:
    """Passes bytes on to a server; `cut` ends every connection through it without a word."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.connections = 0
        self.refusing = False
        self._refused = 0
        self._refusal = asyncio.Event()
        self.holds_streams_back = False
        """As a proxy that buffers answers until they are whole."""
        self.loses_answers_to: bytes | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def until_refused(self, times: int) -> None:
        """Wait until this many connections have been refused."""
        async with asyncio.timeout(10):
            while self._refused < times:
                self._refusal.clear()
                await self._refusal.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            self._refused += 1
            self._refusal.set()
            writer.transport.abort()
            return
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, up_writer}
        lost = asyncio.Event()

        def heard(request: bytes) -> None:
            held_back = self.holds_streams_back and b"/progress " in request
            if held_back or (self.loses_answers_to is not None and self.loses_answers_to in request):
                lost.set()

        try:
            await asyncio.gather(_pump(reader, up_writer, heard=heard), _pump(up_reader, writer, unless=lost))
        finally:
            self._open -= {writer, up_writer}
            for end in (writer, up_writer):
                end.transport.abort()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    heard: Callable[[bytes], None] = lambda _: None,
    unless: asyncio.Event | None = None,
) -> None:
    try:
        while data := await reader.read(65_536):
            heard(data)
            if unless is None or not unless.is_set():
                writer.write(data)
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, OSError):
        writer.transport.abort()


StartProxy = Callable[[str], Awaitable[tuple[Proxy, str]]]


@pytest.fixture
async def start_proxy() -> AsyncIterator[StartProxy]:
    """Put a proxy before a server: `proxy, url = await start_proxy(api.base)`."""
    proxies: list[Proxy] = []

    async def start(url: str) -> tuple[Proxy, str]:
        proxies.append(Proxy(int(url.rpartition(":")[2].strip("/"))))
        return proxies[-1], await proxies[-1].start()

    yield start
    for proxy in proxies:
        await proxy.stop()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """An old hub in a process of its own; its address."""
    with Processes(tmp_path / "hub") as processes:
        yield processes.start(services.hub()).http_url


class HubWorker:
    """A worker of the old hub: takes one job at a time and plays `steps` (messages without worker and job)."""

    def __init__(self, url: str, *steps: dict[str, Any]) -> None:
        self._url = url
        self._steps = steps
        self.claimed = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{self._url}/ws/worker/hw") as ws:
            capabilities = {"supported_job_types": ["simulation"]}
            await ws.send_json({"type": "register_worker", "worker_id": "hw", "capabilities": capabilities})
            async for message in ws:
                said = message.json()
                if said["type"] == "job_available":
                    await ws.send_json({"type": "claim_job", "worker_id": "hw", "job_id": said["job_id"]})
                elif said["type"] == "job_assigned":
                    self.claimed.set()
                    await self.go_on.wait()
                    for step in self._steps:
                        await ws.send_json({"worker_id": "hw", "job_id": said["job_id"]} | step)
                    await ws.send_json({"type": "worker_status", "worker_id": "hw", "status": "idle"})
