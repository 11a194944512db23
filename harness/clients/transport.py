"""The wire of the harness's clients over asyncio: one opener of WebSockets, one reader of event streams."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from harness.errors import CouldNotRun
from harness.protocols import HttpRequest, stack
from harness.protocols.sse import SseEvent, SseParser

LARGEST_MESSAGE: Final = 64_000_000
ABNORMAL: Final = 1006
MOST_QUEUED: Final = 256
"""Frames that wait to be read: then the server has to wait, and a flood of frames cannot fill the memory."""
CONNECT_S: Final = 10.0
ENDED_S: Final = 3.0
READY_S: Final = 30.0
REQUIRED_S: Final = 5.0
STOP_AGAIN_S: Final = 0.5
SILENCE_S: Final = 60.0
"""A stream that says nothing for so long, not even a comment, is dead."""

OnData = Callable[[str | bytes], object]
OnClosed = Callable[[int, str], None]
"""Code and reason of a connection's end; 1006 where there was no closing handshake."""


class Unreachable(CouldNotRun):
    """Nobody listens where a server should be."""


class HandshakeRefused(Unreachable):
    """Somebody listens and will not open this connection; `status` is 0 where the answer was no HTTP."""

    def __init__(self, url: str, reason: str, status: int = 0) -> None:
        super().__init__(f"{url} refused the connection: {reason}")
        self.reason: Final = reason
        self.status: Final = status


async def open_websocket(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = CONNECT_S,
    subprotocols: Sequence[str] = (),
) -> ClientConnection:
    """The one opener of WebSockets. Large messages pass, nothing is compressed, no ping is sent, no proxy is asked.

    Raises HandshakeRefused and Unreachable.
    """
    try:
        return await connect(
            url,
            additional_headers=headers,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            user_agent_header=None,
            open_timeout=timeout_s,
            close_timeout=2,
            ping_interval=None,
            max_size=LARGEST_MESSAGE,
            max_queue=MOST_QUEUED,
            compression=None,
            proxy=None,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise HandshakeRefused(url, f"HTTP {status}", status) from error
    except InvalidHandshake as error:
        raise HandshakeRefused(url, str(error)) from error
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"cannot connect to {url}: {error or type(error).__name__}") from error


class Socket:
    """One actor's WebSocket, one connection at a time. Frames are given to `on_data` as soon as they come."""

    def __init__(self, on_data: OnData, on_closed: OnClosed, *, name: str = "") -> None:
        self._on_data = on_data
        self._on_closed = on_closed
        self._name = name
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self, url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = CONNECT_S) -> None:
        """Connect, or connect again. Raises HandshakeRefused and Unreachable."""
        self._connection = await open_websocket(url, headers=headers, timeout_s=timeout_s)
        self._reader = asyncio.create_task(self._read(self._connection), name=f"reader of {self._name}")

    async def send(self, data: str | bytes) -> bool:
        """Send a frame; false where there is no connection any more."""
        if self._connection is None:
            return False
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(data)
            return True
        return False

    async def send_json(self, message: Mapping[str, Any]) -> bool:
        """Send a message as JSON; false where there is no connection any more."""
        return await self.send(msgspec.json.encode(message).decode())

    async def close(self, code: int = 1000) -> None:
        """Close in order, and wait until it is closed."""
        if self._connection is not None:
            try:
                await self._connection.close(code)
            finally:
                await self._ended()

    async def drop(self) -> None:
        """Cut the TCP connection, with no closing handshake."""
        if self._connection is not None:
            self._connection.transport.abort()
            await self._ended()

    async def _ended(self) -> None:
        if self._reader is not None and self._reader is not asyncio.current_task():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reader, ENDED_S)

    async def _read(self, connection: ClientConnection) -> None:
        try:
            while True:
                self._on_data(await connection.recv())
        except ConnectionClosed as end:
            if connection is self._connection:
                frame = end.rcvd
                self._on_closed(frame.code if frame else ABNORMAL, frame.reason if frame else "")


class Background:
    """An async context manager around one task. An error in the task is raised at the end of the block."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Set once it has begun; the block begins then."""
        self._task: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """The work, until cancelled."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.follow(), name=type(self).__name__)
        waiting = asyncio.create_task(self.ready.wait())
        try:
            await asyncio.wait({self._task, waiting}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done() or not self.ready.is_set():
            await self._stop()
            raise TimeoutError(f"{type(self).__name__} could not begin within {READY_S:g} s")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._task is None:
            return
        # More than once: a library may take a cancellation for one of its own time-outs, and go on.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_AGAIN_S)
        with contextlib.suppress(asyncio.CancelledError):
            self._task.result()


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer: its JSON, or its text where it is none."""

    status: int
    body: Any = None
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether the answer is yes."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in it, empty where there is none."""
        return self.body if isinstance(self.body, dict) else {}


class Refused(CouldNotRun):
    """The server answered with something else than what was asked for."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what} was refused with {answer.status}: {answer.body or answer.text}")
        self.answer: Final = answer
        self.status: Final = answer.status


def plain_http(base_url: str, token: str | None, timeout_s: float) -> httpx.AsyncClient:
    """The one opener of HTTP: requests of a server carry its token, and no proxy is asked."""
    return httpx.AsyncClient(
        base_url=base_url,
        headers=stack.authorization(token),
        timeout=timeout_s,
        limits=httpx.Limits(max_connections=1_000),
        trust_env=False,
        verify=_authorities(),
    )


@functools.cache
def _authorities() -> ssl.SSLContext:
    """Whom to trust, read once: it takes longer than all else of opening a client."""
    return httpx.create_ssl_context(trust_env=False)


async def require_answer(url: str, path: str = "/") -> None:
    """Raises Unreachable where nothing answers there, with whatever status."""
    async with plain_http(url, None, REQUIRED_S) as http:
        try:
            await http.get(path)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(f"nothing answers at {url}: {error or type(error).__name__}") from error


class Http:
    """HTTP and event streams of one server, as an async context."""

    def __init__(self, base_url: str, *, token: str | None = None, timeout_s: float = 10.0) -> None:
        self.url: Final = base_url
        self._client = plain_http(base_url, token, timeout_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(self, request: HttpRequest) -> Answer:
        """Make a request. Raises httpx.HTTPError where there is no answer."""
        content = None if request.body is None else msgspec.json.encode(request.body)
        return await self.send_raw(request.method, request.path, content)

    async def send_raw(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Make a request with a body that is JSON already, or should be. Raises httpx.HTTPError."""
        json = {"Content-Type": "application/json"} if content is not None else {}
        return _answer(
            await self._client.request(method, path, content=content, headers={**(headers or {}), **json}, **options)
        )

    @asynccontextmanager
    async def stream(
        self, path: str, parser: SseParser, headers: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[SseEvent]]:
        """The one reader of event streams: the events of one connection, until the server ends it.

        Raises Refused where the answer is no stream, 204 (nothing more to come) included, and httpx.HTTPError.
        """
        timeout = httpx.Timeout(CONNECT_S, read=SILENCE_S)
        wanted = {"Accept": "text/event-stream", "Cache-Control": "no-store", **headers}
        async with self._client.stream("GET", path, headers=wanted, timeout=timeout) as response:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                raise Refused(f"GET {path}", _answer(response))
            yield _events(response, parser)


async def _events(response: httpx.Response, parser: SseParser) -> AsyncIterator[SseEvent]:
    async for data in response.aiter_bytes():
        for event in parser.feed(data):
            yield event


def _answer(response: httpx.Response) -> Answer:
    try:
        body = msgspec.json.decode(response.content) if response.content else None
    except msgspec.DecodeError:
        return Answer(response.status_code, text=response.text)
    return Answer(response.status_code, body)
