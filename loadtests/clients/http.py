"""HTTP and server-sent events under gevent, with the client that Locust's fast users are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPSocketPoolResponse

from harness.protocols import HttpRequest, stack
from harness.protocols.sse import SseEvent, SseParser

ANSWER_S = 30.0
SILENCE_S = 60.0
"""A stream that says nothing for so long, not even a comment, is taken for dead."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; `body` is the JSON object in it, empty where there is none."""

    status: int
    body: dict[str, Any]

    @property
    def complaint(self) -> str:
        """What the answer says is wrong, for an error's name."""
        return stack.complaint(self.status, self.body)


class HttpApi:
    """One server's API. Connections are kept and shared by the greenlets of one user."""

    def __init__(self, host: str, *, token: str | None = None, connections: int = 64) -> None:
        parts = urlsplit(host)
        secure = parts.scheme in ("https", "wss")
        self._base = parts.path.rstrip("/")
        self._client = HTTPClient(
            parts.hostname or "127.0.0.1",
            parts.port or (443 if secure else 80),
            ssl=secure,
            concurrency=connections,
            connection_timeout=10.0,
            network_timeout=max(ANSWER_S, SILENCE_S),
        )
        self._headers = stack.authorization(token)

    def send(self, request: HttpRequest) -> Answer:
        """Make a request. Raises OSError and HTTPParseError (a ValueError's cousin) where there is no answer."""
        json = {} if request.body is None else {"Content-Type": "application/json"}
        body = b"" if request.body is None else msgspec.json.encode(request.body)
        with self._client.request(request.method, self._base + request.path, body, self._headers | json) as response:
            return _answer(response)

    def events(self, path: str, lines: SseParser) -> Iterator[SseEvent]:
        """The events of a stream until it ends; `lines` keeps the cursor over reconnects. Raises StreamRefused."""
        headers = {**self._headers, "Accept": "text/event-stream", **stack.resume(lines.last_id)}
        lines.reconnected()
        with self._client.request("GET", self._base + path, headers=headers) as response:
            if response.status_code == stack.STREAM_OVER:
                raise StreamOver
            if response.status_code != 200:
                raise StreamRefused(_answer(response).complaint)
            while raw := response.readline(b"\n"):
                if event := lines.feed_line(raw.decode().rstrip("\r\n")):
                    yield event

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


class StreamRefused(Exception):  # noqa: N818 - the refusal is the name
    """The server answered the request for a stream with an error."""


class StreamOver(Exception):  # noqa: N818
    """The server says that the stream has nothing more (204)."""


def _answer(response: HTTPSocketPoolResponse) -> Answer:
    raw = response.read()
    try:
        body = msgspec.json.decode(raw, type=dict[str, Any]) if raw else {}
    except msgspec.DecodeError:
        body = {}
    return Answer(response.status_code, body)
