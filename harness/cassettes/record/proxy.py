"""A proxy in front of a real server: clients, workers and monitors reach it unchanged, and a watch sees what passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol, Self

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close as CloseFrame
from yarl import URL

from harness.clients.transport import ABNORMAL, LARGEST_MESSAGE, HandshakeRefused, Unreachable, open_websocket
from harness.errors import CouldNotRun
from harness.tasks import called_off

STOP_S: Final = 3.0
_OF_ONE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "te", "trailers", "transfer-encoding", "upgrade", "host"}
    | {"content-length", "content-encoding", "accept-encoding"}
    | {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol"}
)


class SocketWatch(Protocol):
    """What sees one WebSocket connection. Each call comes before what it tells of is passed on."""

    def sent(self, data: str | bytes) -> None:
        """The client sends a frame."""
        ...

    def received(self, data: str | bytes) -> None:
        """The server sends a frame."""
        ...

    def left(self, *, orderly: bool, code: int) -> None:
        """The client closes the connection, or it is cut."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """The server's side has ended."""
        ...

    def over(self) -> None:
        """Nothing more comes, however it ended."""
        ...


class RequestWatch(Protocol):
    """What sees one HTTP request."""

    def answered(self, status: int, body: bytes) -> None:
        """The server has answered."""
        ...

    def over(self) -> None:
        """Nothing more comes, answered or not."""
        ...


class StreamWatch(Protocol):
    """What sees one stream of server-sent events."""

    def received_events(self, data: bytes) -> None:
        """A piece of the stream."""
        ...

    def left(self) -> None:
        """The reader is gone."""
        ...

    def closed(self, code: int) -> None:
        """The stream has ended: 1000, or the status that refused it."""
        ...

    def over(self) -> None:
        """Nothing more comes, however it ended."""
        ...


class Watch(Protocol):
    """What sees the traffic. Its calls must be quick, and may not raise: clients wait for them."""

    def socket(self, request: web.Request) -> SocketWatch:
        """A WebSocket connection is open on both sides."""
        ...

    def request(self, request: web.Request, body: bytes) -> RequestWatch:
        """A request came."""
        ...

    def stream(self, request: web.Request) -> StreamWatch:
        """Somebody wants to read events."""
        ...


class Proxy:
    """A proxy in front of `upstream`, as an async context."""

    def __init__(
        self,
        upstream: str,
        watch: Watch,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        is_stream: Callable[[web.Request], bool] = lambda _: False,
    ) -> None:
        """`is_stream` knows requests for events that do not say so in their headers."""
        self._is_stream = is_stream
        self._upstream = upstream.rstrip("/")
        self._watch = watch
        self._host, self._port = host, port
        self._closing: set[Callable[[], Awaitable[Any]]] = set()
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Listen. Raises CouldNotRun where the port is taken."""
        app = web.Application(client_max_size=LARGEST_MESSAGE)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self.__aexit__()
            raise CouldNotRun(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection in order, so that the watch sees how each ended."""
        await asyncio.gather(*(close() for close in self._closing), return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    @property
    def url(self) -> str:
        """Where clients have to go, for HTTP."""
        return f"http://{self._host}:{self._port}"

    @property
    def ws_url(self) -> str:
        """Where clients have to go, for WebSockets."""
        return f"ws://{self._host}:{self._port}"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if web.WebSocketResponse().can_prepare(request):
            return await self._relay_socket(request)
        if "text/event-stream" in request.headers.get("Accept", "") or self._is_stream(request):
            return await self._relay_events(request)
        return await self._relay_request(request)

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise CouldNotRun("the proxy does not run")
        return self._client

    def _url(self, request: web.Request) -> URL:
        """Where the server has it, quoted as the client quoted it."""
        return URL(self._upstream + request.raw_path, encoded=True)

    # WebSocket
    async def _relay_socket(self, request: web.Request) -> web.StreamResponse:
        url = "ws" + self._upstream.removeprefix("http").removeprefix("ws") + request.raw_path
        wanted = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if part.strip()]
        try:
            server = await open_websocket(url, headers=forwarded(request.headers), subprotocols=wanted)
        except HandshakeRefused as refusal:
            return web.Response(status=refusal.status or HTTPStatus.BAD_GATEWAY, text=refusal.reason)
        except Unreachable as error:
            return web.Response(status=HTTPStatus.BAD_GATEWAY, text=str(error))
        protocols = [server.subprotocol] if server.subprotocol else ()
        client = web.WebSocketResponse(
            max_msg_size=LARGEST_MESSAGE, autoclose=False, compress=False, protocols=protocols
        )
        await client.prepare(request)
        relay = _SocketRelay(client, server, self._watch.socket(request))
        self._closing.add(relay.stop)
        try:
            await relay.run()
        finally:
            self._closing.discard(relay.stop)
        return client

    # HTTP
    async def _relay_request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        watch = self._watch.request(request, body)
        try:
            status, headers, content = await self._ask_upstream(request, body)
            watch.answered(status, content)
        finally:
            watch.over()
        return web.Response(status=status, headers=headers, body=content)

    async def _ask_upstream(self, request: web.Request, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with self._http.request(
                request.method,
                self._url(request),
                headers=forwarded(request.headers),
                data=body or None,
                allow_redirects=False,
            ) as answer:
                return answer.status, forwarded(answer.headers), await answer.read()
        except aiohttp.ClientError as error:
            text = f"{self._upstream} cannot be reached: {error}"
            return HTTPStatus.BAD_GATEWAY, {"Content-Type": "text/plain"}, text.encode()

    async def _relay_events(self, request: web.Request) -> web.StreamResponse:
        watch, code = self._watch.stream(request), ABNORMAL
        try:
            async with self._http.get(self._url(request), headers=forwarded(request.headers)) as answer:
                response = web.StreamResponse(status=answer.status, headers=forwarded(answer.headers))
                await response.prepare(request)
                code = 1000 if answer.status < 300 else answer.status
                async for data in answer.content.iter_any():
                    watch.received_events(data)
                    try:
                        await response.write(data)
                    except ConnectionError:
                        watch.left()
                        break
                return response
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=f"{self._upstream} cannot be reached: {error}")
        finally:
            watch.closed(code)
            watch.over()


class _SocketRelay:
    """One WebSocket connection, passed on frame by frame in both directions until either side ends it."""

    def __init__(self, client: web.WebSocketResponse, server: ClientConnection, watch: SocketWatch) -> None:
        self._client, self._server, self._watch = client, server, watch
        self._left = False
        """Whether the end was begun on this side and not by the server."""
        self._closing: asyncio.Task[None] | None = None
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Relay, to the end."""
        try:
            up = asyncio.create_task(self._from_client())
            end = await self._from_server()
            await self._ended(up, end.rcvd)
        finally:
            self._watch.over()
            self._done.set()

    async def _ended(self, up: asyncio.Task[None], last: CloseFrame | None) -> None:
        """The server's side is over: tell how, and end the client's."""
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)
        code, reason = (last.code, last.reason) if last else (ABNORMAL, "")
        self._watch.closed(code, reason)
        if not self._client.closed:
            await self._client.close(code=code if code != ABNORMAL else WSCloseCode.INTERNAL_ERROR)
        await called_off(up)

    async def stop(self) -> None:
        """End it from here, in order."""
        self._leave(orderly=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), STOP_S)

    def _leave(self, *, orderly: bool, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """The client's side is over, or the proxy's: the server's side is ended in the same way."""
        if self._left:
            return
        self._left = True
        self._watch.left(orderly=orderly, code=code)
        if orderly:
            self._closing = asyncio.create_task(self._server.close(code, reason))
        else:
            self._server.transport.abort()

    async def _from_client(self) -> None:
        while True:
            frame = await self._client.receive()
            if frame.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                self._watch.sent(frame.data)
                with contextlib.suppress(ConnectionClosed):
                    await self._server.send(frame.data)
                continue
            orderly = frame.type is WSMsgType.CLOSE
            self._leave(
                orderly=orderly, code=(orderly and frame.data) or WSCloseCode.OK, reason=(orderly and frame.extra) or ""
            )
            return

    async def _from_server(self) -> ConnectionClosed:
        """Until the server closes, or its connection is lost or is being closed from here. Answers how it ended."""
        while True:
            try:
                data = await self._server.recv()
            except ConnectionClosed as end:
                return end
            self._watch.received(data)
            with contextlib.suppress(ConnectionError):
                await (self._client.send_str(data) if isinstance(data, str) else self._client.send_bytes(data))


def forwarded(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers that belong to the message and not to one connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION)
