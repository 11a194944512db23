"""The wire under gevent: the WebSocket and the HTTP client that Locust brings, as shells of the harness's sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
import msgspec
import websocket
from gevent.greenlet import Greenlet
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError, HTTPSocketPoolResponse

from harness.clients.sessions import StackStream
from harness.load.excuses import NO_WORD, SENT_AWAY, SENT_AWAY_IN_FLIGHT
from harness.protocols import HttpRequest, hub, stack
from harness.protocols.hub import Frame

CONNECT_S: Final = 10.0
SILENCE_S: Final = 60.0
"""A stream or an answer that says nothing for so long, not even a comment, is taken for dead."""
NO_ANSWER: Final = (OSError, HTTPParseError)
RECONNECT_S: Final = 0.5
"""The pause before a stream is read again where the server has not said its own (`retry:`)."""
OK: Final = 200


class ConnectionFailed(Exception):  # noqa: N818 - the failure is the name
    """The WebSocket could not be opened or used; the sentence says why. `code` is that of its close, if any."""

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


def sent_away(error: ConnectionFailed, jobs: Sequence[str] = ()) -> str | None:
    """The error of a client that the hub's protocols are refused to, with these jobs in flight; None for any other."""
    if error.code != hub.GONE_CODE:
        return None
    return f"{SENT_AWAY_IN_FLIGHT if jobs else SENT_AWAY}{error or NO_WORD}"


class Socket:
    """One WebSocket that reads in a greenlet of its own. `on_lost` gets the reason when the other side ends it.

    It is open once the server has greeted: one that is refused in words is closed before anything is sent.
    """

    def __init__(
        self, url: str, *, on_data: Callable[[str | bytes], Any], on_lost: Callable[[ConnectionFailed], None]
    ) -> None:
        self._on_data = on_data
        self._on_lost = on_lost
        self._closing = False
        try:
            self._socket = websocket.create_connection(
                url, timeout=CONNECT_S, enable_multithread=True, skip_utf8_validation=True
            )
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionFailed(f"cannot connect: {error or type(error).__name__}") from error
        self._greet()
        self._socket.settimeout(None)
        self._reader: Greenlet[[], None] = gevent.spawn(self._read)

    def send(self, frame: Frame) -> None:
        """Send one JSON object. Raises ConnectionFailed."""
        try:
            self._socket.send(msgspec.json.encode(frame).decode())
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionFailed(f"cannot send: {error or type(error).__name__}") from error

    def close(self) -> None:
        """Close in order; `on_lost` is not called."""
        self._closing = True
        with gevent.Timeout(1.0, exception=False):
            self._reader.kill()
            self._socket.close(timeout=0.5)
        self._socket.shutdown()  # type: ignore[no-untyped-call] # untyped in the library

    def _greet(self) -> None:
        """Take the server's first word. Raises ConnectionFailed where it refuses, which closes the connection."""
        try:
            first = self._next()
            while hub.gone_of(hub.parsed(first) or {}) is not None:
                first = self._next()
        except ConnectionFailed:
            self._socket.shutdown()  # type: ignore[no-untyped-call] # untyped in the library
            raise
        self._on_data(first)

    def _next(self) -> str | bytes:
        """The next message. Raises ConnectionFailed where the other side has ended the connection."""
        try:
            code, data = self._received()
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionFailed(f"connection lost: {error or type(error).__name__}") from error
        if code == websocket.ABNF.OPCODE_CLOSE:
            closed, reason = int.from_bytes(data[:2]), data[2:].decode(errors="replace")
            gone = closed == hub.GONE_CODE
            raise ConnectionFailed(reason if gone else "the server closed the connection", closed)
        return data.decode(errors="replace") if code == websocket.ABNF.OPCODE_TEXT else data

    def _received(self) -> tuple[int, bytes]:
        code, data = self._socket.recv_data()
        return code, bytes(data)

    def _read(self) -> None:
        try:
            while True:
                self._on_data(self._next())
        except ConnectionFailed as error:
            if not self._closing:
                self._socket.shutdown()  # type: ignore[no-untyped-call] # untyped in the library
                self._on_lost(error)


class HttpApi:
    """One server's API. Connections are kept and shared by the greenlets of one user."""

    def __init__(self, host: str, headers: dict[str, str], *, connections: int = 64) -> None:
        parts = urlsplit(host)
        secure = parts.scheme in ("https", "wss")
        self._base = parts.path.rstrip("/")
        self._headers = headers
        self._client = HTTPClient(
            parts.hostname or "127.0.0.1",
            parts.port or (443 if secure else 80),
            ssl=secure,
            concurrency=connections,
            connection_timeout=CONNECT_S,
            network_timeout=SILENCE_S,
        )

    def send(self, request: HttpRequest) -> tuple[int, dict[str, Any]]:
        """Make a request; answers status and JSON object. Raises what is in NO_ANSWER where there is no answer."""
        headers = self._headers | ({} if request.body is None else {"Content-Type": "application/json"})
        body = b"" if request.body is None else msgspec.json.encode(request.body)
        with self._client.request(request.method, self._base + request.path, body, headers) as response:
            return _answer(response)

    def follow(self, stream: StackStream, on_error: Callable[[str], None]) -> None:
        """Read a stream until its job has ended; one that breaks off is taken up behind its last event."""
        while (why := self._read(stream)) is not None:
            on_error(why)
            pause_ms = stream.parser.retry_ms
            gevent.sleep(RECONNECT_S if pause_ms is None else pause_ms / 1000)

    def _read(self, stream: StackStream) -> str | None:
        """Read it once; answers why it broke off, None where there is nothing more."""
        try:
            with self._client.request("GET", self._base + stream.path, headers=stream.connect()) as response:
                if response.status_code == stack.STREAM_OVER:
                    return None
                if response.status_code != OK:
                    return stack.complaint(*_answer(response))
                while raw := response.readline(b"\n"):
                    if event := stream.parser.feed_line(raw.decode().rstrip("\r\n")):
                        stream.receive(event)
                        if stream.ended:
                            return None
        except NO_ANSWER as error:
            return f"stream lost: {error or type(error).__name__}"
        return "the stream ended too early"

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _answer(response: HTTPSocketPoolResponse) -> tuple[int, dict[str, Any]]:
    raw = response.read()
    try:
        body = msgspec.json.decode(raw) if raw else {}
    except msgspec.DecodeError:
        body = {}
    if isinstance(body, list):
        body = {stack.LISTED: body}
    return response.status_code, body if isinstance(body, dict) else {}
