"""The recording proxy: real clients, workers and monitors reach a real server through it, unchanged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close as CloseFrame

from harness.cassettes import Close, Closed, Drop, Open, Receive, Request, Response, Role, Send, contracted
from harness.cassettes.record.redaction import Redaction
from harness.cassettes.record.sessions import Names, Sessions, role_and_name
from harness.clients.transport import ABNORMAL, LARGEST_MESSAGE, HandshakeRefused, Unreachable, open_websocket
from harness.errors import CouldNotRun
from harness.protocols import hub
from harness.protocols.sse import SseParser

STOP_S: Final = 3.0
KEPT_HEADERS: Final = ("Authorization", "Last-Event-ID")
"""Request headers that change what the server answers. Secret ones are kept by name only."""
_OF_ONE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "te", "trailers", "transfer-encoding", "upgrade", "host"}
    | {"content-length", "content-encoding", "accept-encoding"}
    | {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol"}
)


class Recorder:
    """A proxy in front of `upstream`, as an async context. What passes is written to `sessions`."""

    def __init__(
        self,
        upstream: str,
        sessions: Sessions,
        *,
        redaction: Redaction | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._upstream = upstream.rstrip("/")
        self._sessions = sessions
        self._redaction = redaction or Redaction()
        self._host, self._port = host, port
        self._names = Names()
        self._closing: set[Callable[[], Awaitable[Any]]] = set()
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Listen. Raises CouldNotRun where the port is taken."""
        app = web.Application(client_max_size=LARGEST_MESSAGE)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._client = aiohttp.ClientSession(auto_decompress=True, timeout=aiohttp.ClientTimeout(total=None))
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
        """Close every connection, so that every cassette ends complete."""
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
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await self._relay_events(request)
        return await self._relay_request(request)

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise CouldNotRun("the recorder does not run")
        return self._client

    # WebSocket
    async def _relay_socket(self, request: web.Request) -> web.StreamResponse:
        role, name = role_and_name(request.path_qs)
        url = "ws" + self._upstream.removeprefix("http").removeprefix("ws") + request.path_qs
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
        with self._names.taken(name) as actor:
            relay = _SocketRelay(actor, client, server, self._sessions, self._redaction)
            self._closing.add(relay.stop)
            try:
                await relay.run(role, self._redaction.path(request.path_qs), self._kept(request))
            finally:
                self._closing.discard(relay.stop)
        return client

    # HTTP
    async def _relay_request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        with self._names.taken("http") as actor, self._session(actor):
            asked = Request(
                at=self._now(),
                actor=actor,
                method=request.method,
                path=self._redaction.path(request.path_qs),
                headers=self._kept(request),
                **self._body(body),
            )
            self._sessions.put(asked)
            status, headers, content = await self._ask_upstream(request, body)
            self._sessions.put(Response(at=self._now(), actor=actor, status=status, **self._body(content)))
        return web.Response(status=status, headers=headers, body=content)

    async def _ask_upstream(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            async with self._http.request(
                request.method,
                self._upstream + request.path_qs,
                headers=forwarded(request.headers),
                data=body,
                allow_redirects=False,
            ) as answer:
                return answer.status, forwarded(answer.headers), await answer.read()
        except aiohttp.ClientError as error:
            text = f"{self._upstream} cannot be reached: {error}"
            return HTTPStatus.BAD_GATEWAY, {"Content-Type": "text/plain"}, text.encode()

    async def _relay_events(self, request: web.Request) -> web.StreamResponse:
        with self._names.taken("sse") as actor, self._session(actor):
            path = self._redaction.path(request.path_qs)
            self._sessions.put(Open(at=self._now(), actor=actor, role=Role.SSE, path=path, headers=self._kept(request)))
            code = ABNORMAL
            try:
                async with self._http.get(
                    self._upstream + request.path_qs, headers=forwarded(request.headers)
                ) as answer:
                    response = web.StreamResponse(status=answer.status, headers=forwarded(answer.headers))
                    await response.prepare(request)
                    code = 1000 if answer.status < 300 else answer.status
                    await self._pass_events(actor, answer, response)
                    return response
            except aiohttp.ClientError as error:
                return web.Response(status=502, text=f"{self._upstream} cannot be reached: {error}")
            finally:
                self._sessions.put(Closed(at=self._now(), actor=actor, code=code))

    async def _pass_events(self, actor: str, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        parser = SseParser()
        async for data in answer.content.iter_any():
            for event in parser.feed(data):
                message = self._redaction.json({"id": event.id, "event": event.event, "data": event.json()})
                self._sessions.put(Receive(at=self._now(), actor=actor, message=contracted(message)))
            try:
                await response.write(data)
            except ConnectionError:
                self._sessions.put(Drop(at=self._now(), actor=actor))
                return

    @contextlib.contextmanager
    def _session(self, activity: str) -> Any:
        self._sessions.begin(activity)
        try:
            yield
        finally:
            self._sessions.end(activity)

    def _now(self) -> float:
        return self._sessions.now_ms()

    def _kept(self, request: web.Request) -> dict[str, str]:
        return self._redaction.kept_headers(request.headers, KEPT_HEADERS)

    def _body(self, body: bytes) -> dict[str, Any]:
        if not body:
            return {"body": None}
        try:
            return {"body": contracted(self._redaction.json(msgspec.json.decode(body)))}
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {"text": contracted(self._redaction.text(body.decode("utf-8", "replace")))}


class _SocketRelay:
    """One WebSocket connection, passed on frame by frame in both directions until either side ends it."""

    def __init__(
        self,
        actor: str,
        client: web.WebSocketResponse,
        server: ClientConnection,
        sessions: Sessions,
        redaction: Redaction,
    ) -> None:
        self._actor, self._client, self._server = actor, client, server
        self._sessions, self._redaction = sessions, redaction
        self._left = False
        """Whether the end was begun on this side and not by the server."""
        self._closing: asyncio.Task[None] | None = None
        self._done = asyncio.Event()

    async def run(self, role: Role, path: str, headers: dict[str, str]) -> None:
        """Relay and record, to the end."""
        self._sessions.begin(self._actor)
        try:
            self._sessions.put(
                Open(at=self._sessions.now_ms(), actor=self._actor, role=role, path=path, headers=headers)
            )
            up = asyncio.create_task(self._from_client())
            end = await self._from_server()
            await self._ended(up, end.rcvd)
        finally:
            self._sessions.end(self._actor)
            self._done.set()

    async def _ended(self, up: asyncio.Task[None], last: CloseFrame | None) -> None:
        """The server's side is over: record how, and end the client's."""
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)
        code, reason = (last.code, last.reason) if last else (ABNORMAL, "")
        told = self._redaction.text(reason)
        self._sessions.put(Closed(at=self._sessions.now_ms(), actor=self._actor, code=code, reason=told))
        if not self._client.closed:
            await self._client.close(code=code if code != ABNORMAL else WSCloseCode.INTERNAL_ERROR)
        up.cancel()
        await asyncio.gather(up, return_exceptions=True)

    async def stop(self) -> None:
        """End it from here: the recording ends with an orderly close."""
        self._leave(orderly=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), STOP_S)

    def _leave(self, *, orderly: bool, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """The client's side is over, or the recorder's: the server's side is ended in the same way."""
        if self._left:
            return
        self._left = True
        at = self._sessions.now_ms()
        self._sessions.put(Close(at=at, actor=self._actor, code=code) if orderly else Drop(at=at, actor=self._actor))
        if orderly:
            self._closing = asyncio.create_task(self._server.close(code, reason))
        else:
            self._server.transport.abort()

    async def _from_client(self) -> None:
        while True:
            frame = await self._client.receive()
            at = self._sessions.now_ms()
            if frame.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                self._sessions.put(Send(at=at, actor=self._actor, **self._content(frame.data)))
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
            self._sessions.put(Receive(at=self._sessions.now_ms(), actor=self._actor, **self._content(data)))
            with contextlib.suppress(ConnectionError):
                await (self._client.send_str(data) if isinstance(data, str) else self._client.send_bytes(data))

    def _content(self, data: str | bytes) -> dict[str, Any]:
        if isinstance(data, bytes):
            return {"text": contracted(self._redaction.text(repr(data)))}
        message = hub.parsed(data)
        if message is None:
            return {"text": contracted(self._redaction.text(data))}
        return {"message": contracted(self._redaction.json(message))}


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that belong to the message and not to one connection."""
    return {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}
