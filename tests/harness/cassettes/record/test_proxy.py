"""The proxy by itself, before a server that does what hubs seldom do: all passes as it came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from yarl import URL

from harness.cassettes.record.proxy import Proxy
from harness.clients.transport import open_websocket


class Blind:
    """A watch that sees nothing."""

    def socket(self, request: web.Request) -> Blind:
        return self

    def stream(self, request: web.Request) -> Blind:
        return self

    def request(self, request: web.Request, body: bytes) -> Blind:
        return self

    def sent(self, data: str | bytes) -> None: ...

    def received(self, data: str | bytes) -> None: ...

    def received_events(self, data: bytes) -> None: ...

    def answered(self, status: int, body: bytes) -> None: ...

    def left(self, *, orderly: bool = False, code: int = 0) -> None: ...

    def closed(self, code: int, reason: str = "") -> None: ...

    def over(self) -> None: ...


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Says back what it hears, and closes with 4321 when told so."""
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    async for frame in socket:
        if frame.type is WSMsgType.BINARY:
            await socket.send_bytes(frame.data)
        elif frame.data == "close":
            await socket.close(code=4321)
        else:
            await socket.send_str(frame.data)
    return socket


async def told(request: web.Request) -> web.Response:
    """What came, and two cookies."""
    seen = {"path": request.raw_path, "cookies": dict(request.cookies), "agent": request.headers.get("User-Agent", "")}
    answer = web.json_response(seen | {"body": await request.text(), "type": request.headers.get("Content-Type", "")})
    answer.headers.add("Set-Cookie", "one=1")
    answer.headers.add("Set-Cookie", "two=2")
    return answer


@asynccontextmanager
async def proxied() -> AsyncIterator[Proxy]:
    app = web.Application()
    app.router.add_get("/ws/client/echo", echo)
    app.router.add_route("*", "/{path:.*}", told)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Proxy(f"http://127.0.0.1:{runner.addresses[0][1]}", Blind()) as proxy:
            yield proxy
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "data",
    ['{"a":   1,\n\t"b" : "\\u00e9 é"}', "", "no json {", b"\x00\xff\xfe", b"", "long " * 400_000, "\u2028\U0001f600"],
)
async def test_a_frame_passes_byte_for_byte_both_ways(data: str | bytes) -> None:
    async with proxied() as proxy:
        client = await open_websocket(f"{proxy.ws_url}/ws/client/echo")
        await client.send(data)
        assert await client.recv() == data
        await client.send("close")
        await client.wait_closed()
        assert client.close_code == 4321


async def test_a_request_passes_as_it_was_asked_and_no_client_gets_anothers_cookies() -> None:
    async with proxied() as proxy, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        url = URL(f"{proxy.url}/api/a%2Fb%20c?q=%7B%22x%22%7D&q=2", encoded=True)
        for _ in range(2):
            async with client.post(
                url, data=b"{ }", headers={"Content-Type": "text/odd", "User-Agent": "old/1"}
            ) as answer:
                assert answer.headers.getall("Set-Cookie") == ["one=1", "two=2"]
                seen = await answer.json()
        assert seen == {
            "path": "/api/a%2Fb%20c?q=%7B%22x%22%7D&q=2",
            "cookies": {},
            "agent": "old/1",
            "body": "{ }",
            "type": "text/odd",
        }
