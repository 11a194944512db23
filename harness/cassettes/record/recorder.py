"""Writes down what passes through the proxy, without its secrets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

import msgspec
from aiohttp import web

from harness.cassettes import Close, Closed, Drop, Event, Open, Receive, Request, Response, Role, Send
from harness.cassettes.record.proxy import Proxy
from harness.cassettes.record.redaction import Redaction
from harness.cassettes.record.sessions import Names, Sessions, role_and_name
from harness.protocols import hub
from harness.protocols.asked import asked_by_request, client_at
from harness.protocols.description import Described
from harness.protocols.sse import SseParser

KEPT_HEADERS: Final = ("Authorization", "Last-Event-ID")
"""Request headers that change what the server answers. Secret ones are kept by name only."""


class Recorder(Proxy):
    """A proxy in front of `upstream`, as an async context. What passes is written to `sessions`.

    Where `upstream` has words of its own, `protocol` tells who is a client, and which requests are for events; as such
    clients may have no connection that stays, all is one session then.
    """

    def __init__(
        self,
        upstream: str,
        sessions: Sessions,
        *,
        redaction: Redaction | None = None,
        protocol: Described | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        watch = _Recording(sessions, redaction or Redaction(), protocol)
        super().__init__(upstream, watch, host=host, port=port, is_stream=watch.is_stream)
        self._recording = watch

    async def __aexit__(self, *reason: object) -> None:
        """Close every connection, and the cassette of a recording by a protocol."""
        await super().__aexit__(*reason)
        self._recording.over()


class _Recording:
    """The watch that records."""

    def __init__(self, sessions: Sessions, redaction: Redaction, protocol: Described | None) -> None:
        self._sessions, self._redaction = sessions, redaction
        self._description = protocol.description if protocol else None
        self._names = Names()

    def is_stream(self, request: web.Request) -> bool:
        """Whether the protocol says that it is a wish to follow a job."""
        if self._description is None:
            return False
        asked = asked_by_request(self._description, request.method, request.path_qs, None)
        return asked is not None and asked.action == "follow"

    def socket(self, request: web.Request) -> _Recorded:
        role, name = role_and_name(request.path_qs)
        if self._description and (own := client_at(self._description, request.path_qs)) is not None:
            role, name = Role.CLIENT, own or "client"
        return self._begun(request, name, role)

    def stream(self, request: web.Request) -> _Recorded:
        return self._begun(request, "sse", Role.SSE)

    def request(self, request: web.Request, body: bytes) -> _Recorded:
        recorded = self._begun(request, "http")
        asked = {"method": request.method, "path": request.path_qs, "headers": self._kept(request)}
        recorded.put(Request, **asked, **body_fields(body))
        return recorded

    def _begun(self, request: web.Request, name: str, role: Role | None = None) -> _Recorded:
        if self._description is not None:
            self._sessions.apart(lambda: self._sessions.begin(self))
        recorded = _Recorded(self._names.taken(name), self._sessions, self._redaction)
        if role is not None:
            recorded.put(Open, role=role, path=request.path_qs, headers=self._kept(request))
        return recorded

    def over(self) -> None:
        """Nobody comes any more."""
        self._sessions.apart(lambda: self._sessions.end(self))

    def _kept(self, request: web.Request) -> dict[str, str]:
        return self._redaction.kept_headers(request.headers, KEPT_HEADERS)


class _Recorded:
    """One connection, request or stream that is being recorded."""

    def __init__(self, name: AbstractContextManager[str], sessions: Sessions, redaction: Redaction) -> None:
        self._sessions, self._redaction = sessions, redaction
        self._parser = SseParser()
        self._until_over = ExitStack()
        self._actor = self._until_over.enter_context(name)
        sessions.apart(lambda: sessions.begin(self._actor))
        self._until_over.callback(sessions.apart, lambda: sessions.end(self._actor))

    def put(self, kind: Callable[..., Event], **fields: Any) -> None:
        """Record an event of this actor's, if it can be recorded."""
        event = kind(at=self._sessions.now_ms(), actor=self._actor, **fields)
        self._sessions.apart(lambda: self._sessions.put(self._redaction.event(event)))

    def sent(self, data: str | bytes) -> None:
        self.put(Send, **frame_fields(data))

    def answered(self, status: int, body: bytes) -> None:
        self.put(Response, status=status, **body_fields(body))

    def left(self, *, orderly: bool = False, code: int = 1000) -> None:
        self.put(Close, code=code) if orderly else self.put(Drop)

    def closed(self, code: int, reason: str = "") -> None:
        self.put(Closed, code=code, reason=reason)

    def over(self) -> None:
        self._until_over.close()

    def received(self, data: str | bytes) -> None:
        self.put(Receive, **frame_fields(data))

    def received_events(self, data: bytes) -> None:
        for event in self._parser.feed(data):
            self.put(Receive, message={"id": event.id, "event": event.event, "data": event.json()})


def frame_fields(data: str | bytes) -> dict[str, Any]:
    """What a WebSocket frame is in a recording: a message where it is a JSON object, else a text."""
    message = hub.parsed(data)
    return {"text": data if isinstance(data, str) else repr(data)} if message is None else {"message": message}


def body_fields(body: bytes) -> dict[str, Any]:
    """What the body of a request or of an answer is in a recording."""
    try:
        return {"body": msgspec.json.decode(body) if body else None}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"text": body.decode("utf-8", "replace")}
