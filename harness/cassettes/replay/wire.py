"""The actors of a replay on the wire: WebSocket, server-sent events, HTTP. Each tells what it was told."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable
from typing import Any, Final, Protocol

import httpx
import httpx_sse
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from harness.cassettes import Closed, Incoming, Receive, Request, Response, contracted, expanded
from harness.errors import CouldNotRun

LARGEST_FRAME: Final = 64_000_000
ABNORMAL: Final = 1006

Arrived = Callable[[Incoming], None]
Remark = Callable[[str], None]
Clock = Callable[[], float]
"""ms since the replay began."""


class Unreachable(CouldNotRun):
    """Nobody listens where the target should be."""


class Connected(Protocol):
    """A connection of one actor."""

    async def send(self, content: Any, *, is_text: bool) -> None:
        """Send one frame."""
        ...

    async def close(self, code: int) -> None:
        """Close in order, and wait until it is closed."""
        ...

    async def drop(self) -> None:
        """Cut it."""
        ...


class WebSocketActor:
    """One WebSocket connection with its reader. Frames are told as soon as they come."""

    def __init__(self, actor: str, arrived: Arrived, remark: Remark, clock: Clock) -> None:
        self._actor = actor
        self._arrived = arrived
        self._remark = remark
        self._clock = clock
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pieces: dict[str, list[str]] = {}
        self._left = False

    async def open(self, url: str, timeout_s: float, headers: dict[str, str]) -> None:
        """Connect. A handshake that is refused is told as `closed`; raises Unreachable where nobody listens."""
        try:
            self._connection = await connect(
                url,
                additional_headers=headers,
                open_timeout=timeout_s,
                close_timeout=2,
                ping_interval=None,
                max_size=LARGEST_FRAME,
                max_queue=None,
                compression=None,
                proxy=None,
            )
        except InvalidStatus as error:
            self._closed(ABNORMAL, f"HTTP {error.response.status_code}")
        except InvalidHandshake as error:
            self._closed(ABNORMAL, str(error))
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"cannot connect to {url}: {error or type(error).__name__}") from error
        else:
            self._reader = asyncio.create_task(self._read(self._connection), name=f"reader of {self._actor}")

    async def send(self, content: Any, *, is_text: bool) -> None:
        """Send a message as JSON, or a text as it is; the literal of bytes goes as a binary frame."""
        frame = _frame_of(expanded(content)) if is_text else json.dumps(expanded(content), ensure_ascii=False)
        if self._connection is None:
            self._remark(f"{self._actor} could not send: its connection was refused")
            return
        try:
            await self._connection.send(frame)
        except ConnectionClosed:
            self._remark(f"{self._actor} could not send: its connection was closed")

    async def close(self, code: int) -> None:
        """Close in order. What comes while the connection closes is not looked at, as no client would."""
        self._left = True
        if self._connection is not None:
            await self._connection.close(code)
            await self._ended()

    async def drop(self) -> None:
        """Cut the TCP connection."""
        self._left = True
        if self._connection is not None:
            self._connection.transport.abort()
            await self._ended()

    async def _ended(self) -> None:
        if self._reader is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reader, 3)

    async def _read(self, connection: ClientConnection) -> None:
        try:
            while True:
                self._told(await connection.recv())
        except ConnectionClosed as end:
            frame = end.rcvd
            self._closed(frame.code if frame else ABNORMAL, frame.reason if frame else "")

    def _told(self, data: str | bytes) -> None:
        if self._left:
            return
        at = self._clock()
        content = json_object(data) if isinstance(data, str) else None
        if content is None:
            text = data if isinstance(data, str) else repr(data)
            self._arrived(Receive(at=at, actor=self._actor, text=contracted(text)))
            return
        if content.get("type") == "chunked_message":
            self._check_piece(content)
        self._arrived(Receive(at=at, actor=self._actor, message=contracted(content)))

    def _check_piece(self, piece: dict[str, Any]) -> None:
        """Whether the pieces of a chunked message are whole: that cannot be told from their short forms."""
        pieces = self._pieces.setdefault(str(piece.get("message_id")), [])
        pieces.append(str(piece.get("content")))
        if len(pieces) == piece.get("total_chunks"):
            whole = "".join(pieces).encode()
            if hashlib.md5(whole, usedforsecurity=False).hexdigest() != piece.get("message_hash"):
                self._remark(f"{self._actor}: the pieces of message {piece.get('message_id')} do not match its hash")

    def _closed(self, code: int, reason: str) -> None:
        self._arrived(Closed(at=self._clock(), actor=self._actor, code=code, reason=reason))


class SseActor:
    """One stream of server-sent events. It ends with `closed`: code 1000, or the HTTP status that refused it."""

    def __init__(self, actor: str, client: httpx.AsyncClient, arrived: Arrived, clock: Clock) -> None:
        self._actor = actor
        self._client = client
        self._arrived = arrived
        self._clock = clock
        self._reader: asyncio.Task[None] | None = None
        self._left = False

    async def open(self, url: str, timeout_s: float, headers: dict[str, str]) -> None:
        """Connect, and read from then on. Raises Unreachable."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(url, headers, started), name=f"reader of {self._actor}")
        async with asyncio.timeout(timeout_s):
            await started

    async def send(self, content: Any, *, is_text: bool) -> None:  # noqa: ARG002 - as every connection has it
        """Nothing is ever sent on such a stream."""
        raise CouldNotRun(f"{self._actor} reads server-sent events and cannot send")

    async def close(self, code: int) -> None:  # noqa: ARG002 - as every connection has it
        """Stop reading."""
        await self.drop()

    async def drop(self) -> None:
        """Stop reading."""
        self._left = True
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self, url: str, headers: dict[str, str], started: asyncio.Future[None]) -> None:
        code = ABNORMAL
        try:
            async with httpx_sse.aconnect_sse(self._client, "GET", url, headers=headers, timeout=None) as source:
                code = 1000 if source.response.is_success else source.response.status_code
                if not started.done():
                    started.set_result(None)
                if source.response.status_code == httpx.codes.OK:
                    async for event in source.aiter_sse():
                        if event.data:  # else only a `retry:`, which is no event
                            self._told(event)
        except httpx.ConnectError as error:
            if not started.done():
                started.set_exception(Unreachable(f"cannot connect to {url}: {error}"))
            return
        except (httpx.HTTPError, httpx_sse.SSEError):
            code = ABNORMAL
        finally:
            if not started.done():
                started.set_result(None)
            self._arrived(Closed(at=self._clock(), actor=self._actor, code=1000 if self._left else code))

    def _told(self, event: httpx_sse.ServerSentEvent) -> None:
        try:
            data = msgspec.json.decode(event.data)
        except msgspec.DecodeError:
            data = event.data
        message = {"id": event.id, "event": event.event, "data": contracted(data)}
        self._arrived(Receive(at=self._clock(), actor=self._actor, message=message))


class HttpActor:
    """Makes requests, one at a time; the answer is told when it comes."""

    def __init__(self, actor: str, client: httpx.AsyncClient, arrived: Arrived, clock: Clock) -> None:
        self._actor = actor
        self._client = client
        self._arrived = arrived
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, url: str, request: Request, body: Any, headers: dict[str, str], timeout_s: float) -> None:
        """Send a request and return at once: it may be answered only after other actors have done something."""
        await self.finish()
        self._asking = asyncio.create_task(
            self._ask(url, request, body, headers, timeout_s), name=f"request of {self._actor}"
        )

    async def finish(self) -> None:
        """Wait for the answer that is still due. Raises Unreachable."""
        if self._asking is not None:
            asking, self._asking = self._asking, None
            await asking

    def check(self) -> None:
        """Raise what ended the request, if something did."""
        if self._asking is not None and self._asking.done():
            self._asking.result()

    async def give_up(self) -> None:
        """Wait no longer."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self, url: str, request: Request, body: Any, headers: dict[str, str], timeout_s: float) -> None:
        has_text = request.text is not msgspec.UNSET
        content = None if body is None else (body if has_text else json.dumps(expanded(body))).encode()
        headers = headers | ({"Content-Type": "application/json"} if content is not None else {})
        try:
            answer = await self._client.request(
                request.method, url, content=content, headers=headers, timeout=timeout_s
            )
        except httpx.ConnectError as error:
            raise Unreachable(f"cannot connect to {url}: {error}") from error
        except httpx.HTTPError as error:
            self._tell(0, text=f"no answer: {type(error).__name__}")
            return
        try:
            answered = contracted(msgspec.json.decode(answer.content)) if answer.content else None
        except msgspec.DecodeError:
            self._tell(answer.status_code, text=contracted(answer.text))
            return
        self._tell(answer.status_code, body=answered)

    def _tell(self, status: int, *, body: Any = None, text: Any = msgspec.UNSET) -> None:
        self._arrived(Response(at=self._clock(), actor=self._actor, status=status, body=body, text=text))


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text frame is, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _frame_of(text: str) -> str | bytes:
    if text[:2] in {"b'", 'b"'}:
        with contextlib.suppress(ValueError, SyntaxError):
            literal = ast.literal_eval(text)
            if isinstance(literal, bytes):
                return literal
    return text
