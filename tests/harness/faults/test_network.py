"""A slow reader, against a server that sends more than it reads."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from harness.faults import SlowReader
from harness.history import HistoryWriter
from harness.protocols import EventKind


@pytest.mark.parametrize("websocket", [False, True])
async def test_a_slow_reader_makes_the_server_wait_and_sees_when_it_is_let_go(websocket: bool) -> None:
    sent = 0
    gave_up = asyncio.Event()

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response: web.StreamResponse | web.WebSocketResponse
        response = web.WebSocketResponse() if websocket else web.StreamResponse()
        await response.prepare(request)
        try:
            async with asyncio.timeout(0.5):
                while True:
                    if isinstance(response, web.WebSocketResponse):
                        await response.send_bytes(b"x" * 65_536)
                    else:
                        await response.write(b"x" * 65_536)
                    sent += 65_536
        except TimeoutError:
            gave_up.set()
            if request.transport:
                request.transport.abort()
        return response

    app = web.Application()
    app.add_routes([web.get("/api/events", flood)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    writer = HistoryWriter()
    port = runner.addresses[0][1]
    reader = SlowReader("127.0.0.1", port, "/api/events", writer, websocket=websocket, bytes_per_s=64)
    async with asyncio.timeout(30), reader:
        await gave_up.wait()
        assert sent < 8 * 2**20
        assert reader.received <= 128
    assert [event.kind for event in writer.events] == [EventKind.SLOW_READER]
    await runner.cleanup()


async def test_who_is_refused_is_let_go() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with SlowReader("127.0.0.1", server.sockets[0].getsockname()[1], "/", HistoryWriter()) as reader:
        async with asyncio.timeout(10):
            await reader.let_go.wait()
    server.close()
