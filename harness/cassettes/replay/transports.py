"""The actors of a replay on the wire: each does what it did in the recording, and reports what it receives."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import httpx
import msgspec

from harness.cassettes import Closed, Incoming, Receive, Request, Response, contracted, expanded
from harness.clients import ModernClient
from harness.clients.transport import ABNORMAL, Answer, HandshakeRefused, Http, Refused, Socket, Unreachable
from harness.errors import CouldNotRun
from harness.parity.facts import fact_of
from harness.protocols import EventKind, JobEvent, JobState, hub
from harness.protocols.hub import ChunkAssembler, ChunksCorrupt
from harness.protocols.sse import SseParser
from harness.targets import Target
from harness.tasks import called_off

Arrived = Callable[[Incoming], None]
Remark = Callable[[str], None]
ReplayClock = Callable[[], float]
"""ms since the replay began."""


class ActorConnection(Protocol):
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


class _Actor:
    """Who acts, and where it reports what it receives and what went wrong."""

    def __init__(self, actor: str, arrived: Arrived, remark: Remark, clock: ReplayClock) -> None:
        self._actor = actor
        self._arrived = arrived
        self._remark = remark
        self._clock = clock

    async def close(self, code: int) -> None:  # noqa: ARG002 - as every connection has it
        """Leave in order; whoever only reads stops reading."""
        await self.drop()

    async def drop(self) -> None:
        """Leave at once."""

    def _closed(self, code: int, reason: str = "") -> None:
        self._arrived(Closed(at=self._clock(), actor=self._actor, code=code, reason=reason))


class WebSocketActor(_Actor):
    """One WebSocket connection. Frames are reported as soon as they come."""

    def __init__(self, actor: str, arrived: Arrived, remark: Remark, clock: ReplayClock) -> None:
        super().__init__(actor, arrived, remark, clock)
        self._socket = Socket(self._on_data, self._closed, name=actor)
        self._chunks = ChunkAssembler()
        self._left = False

    async def open(self, url: str, timeout_s: float, headers: dict[str, str]) -> None:
        """Connect. A handshake that is refused is reported as `closed`; raises Unreachable where nobody listens."""
        try:
            await self._socket.open(url, headers=headers, timeout_s=timeout_s)
        except HandshakeRefused as refusal:
            self._closed(ABNORMAL, refusal.reason)

    async def send(self, content: Any, *, is_text: bool) -> None:
        """Send a message as JSON, or a text as it is; the literal of bytes goes as a binary frame."""
        value = expanded(content)
        if not await self._socket.send(_frame_of(value) if is_text else json.dumps(value, ensure_ascii=False)):
            self._remark(f"{self._actor} could not send: its connection was closed or refused")

    async def close(self, code: int) -> None:
        """Close in order. What comes while the connection closes is not looked at, as no client would."""
        self._left = True
        await self._socket.close(code)

    async def drop(self) -> None:
        """Cut the TCP connection."""
        self._left = True
        await self._socket.drop()

    def _on_data(self, data: str | bytes) -> None:
        if self._left:
            return
        at, message = self._clock(), hub.parsed(data)
        if message is None:
            text = data if isinstance(data, str) else repr(data)
            self._arrived(Receive(at=at, actor=self._actor, text=contracted(text)))
            return
        try:  # only here are the pieces still whole: a transcript has their short forms
            self._chunks.feed(message)
        except ChunksCorrupt as error:
            self._remark(f"{self._actor}: {error}")
        self._arrived(Receive(at=at, actor=self._actor, message=contracted(message)))


class SseActor(_Actor):
    """One stream of server-sent events. It ends with `closed`: code 1000, or the HTTP status that refused it."""

    def __init__(self, actor: str, arrived: Arrived, remark: Remark, clock: ReplayClock, *, http: Http) -> None:
        super().__init__(actor, arrived, remark, clock)
        self._http = http
        self._reader: asyncio.Task[None] | None = None
        self._left = False

    async def open(self, path: str, timeout_s: float, headers: dict[str, str]) -> None:
        """Connect, and read from then on. Raises Unreachable."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(path, headers, started), name=f"reader of {self._actor}")
        async with asyncio.timeout(timeout_s):
            await started

    async def send(self, content: Any, *, is_text: bool) -> None:  # noqa: ARG002 - as every connection has it
        """Nothing is ever sent on such a stream."""
        raise CouldNotRun(f"{self._actor} reads server-sent events and cannot send")

    async def drop(self) -> None:
        """Stop reading."""
        self._left = True
        await called_off(self._reader)

    async def _read(self, path: str, headers: dict[str, str], started: asyncio.Future[None]) -> None:
        code = ABNORMAL
        try:
            async with self._http.stream(path, SseParser(), headers) as events:
                _set(started)
                async for event in events:
                    message = {"id": event.id, "event": event.event, "data": contracted(event.json())}
                    self._arrived(Receive(at=self._clock(), actor=self._actor, message=message))
            code = 1000
        except Refused as refusal:
            code = 1000 if refusal.answer.ok else refusal.status
        except httpx.ConnectError as error:
            if not started.done():
                started.set_exception(Unreachable(f"cannot connect to {self._http.url}{path}: {error}"))
            return
        except httpx.HTTPError:
            code = ABNORMAL
        finally:
            _set(started)
            self._closed(1000 if self._left else code)


class HttpActor(_Actor):
    """Makes requests, one at a time; the answer is reported when it comes."""

    def __init__(self, actor: str, arrived: Arrived, remark: Remark, clock: ReplayClock, *, http: Http) -> None:
        super().__init__(actor, arrived, remark, clock)
        self._http = http
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, path: str, request: Request, body: Any, headers: dict[str, str], timeout_s: float) -> None:
        """Send a request and return at once: it may be answered only after other actors have done something."""
        if self._asking is not None:
            await self._asking
        self._asking = asyncio.create_task(
            self._ask(path, request, body, headers, timeout_s), name=f"request of {self._actor}"
        )

    def check(self) -> None:
        """Raise what ended the request, if something did."""
        if self._asking is not None and self._asking.done():
            self._asking.result()

    async def give_up(self) -> None:
        """Wait no longer."""
        await called_off(self._asking)

    async def _ask(self, path: str, request: Request, body: Any, headers: dict[str, str], timeout_s: float) -> None:
        is_text = request.text is not msgspec.UNSET
        content = None if body is None else (body if is_text else json.dumps(expanded(body))).encode()
        try:
            answer = await self._http.send_raw(request.method, path, content, headers, timeout=timeout_s)
        except httpx.ConnectError as error:
            raise Unreachable(f"cannot connect to {self._http.url}{path}: {error}") from error
        except httpx.HTTPError as error:
            answer = Answer(0, text=f"no answer: {type(error).__name__}")
        found = {"text": contracted(answer.text)} if answer.text else {"body": contracted(answer.body)}
        self._arrived(Response(at=self._clock(), actor=self._actor, status=answer.status, **found))


class ModernActor(_Actor):
    """A client of the recording, played as a client of the new stack: HTTP for actions, server-sent events for what
    happens. It reports facts (see `harness.parity.facts`), so that it can be held against the client that was recorded.

    It understands what an old client would send and does the same over HTTP; what has no meaning there it leaves.
    """

    def __init__(self, actor: str, arrived: Arrived, remark: Remark, clock: ReplayClock, *, target: Target) -> None:
        super().__init__(actor, arrived, remark, clock)
        self._client = ModernClient(target.http_url, actor, token=target.token, observe=self._observe)
        self._followed: set[str] = set()
        self._asking: list[asyncio.Task[None]] = []

    async def send(self, content: Any, *, is_text: bool) -> None:
        """Do what the message means. A client that leaves at once does not wait for the answer, but to a submission."""
        message = (hub.parsed(str(content)) if is_text else expanded(content)) or {}
        match message:
            case {"type": "submit_job"}:
                await self._answered(self._submit, message)
            case {"type": "request_job_status", "job_id": str(job_id)}:
                self._on_the_side(self._client.state, job_id)
            case {"type": "cancel_job", "job_id": str(job_id)}:
                self._on_the_side(self._client.cancel, job_id, message.get("reason"))
            case {"type": "force_retry_job", "job_id": str(job_id)}:
                self._on_the_side(self._client.retry, job_id)
            case {"type": "subscribe_job", "job_id": str(job_id)}:
                self._follow(job_id)
            case _:
                self._remark(f"{self._actor}: HTTP has nothing like {str(content)[:80]}")

    async def drop(self) -> None:
        """Stop reading."""
        await called_off(*self._asking)
        await self._client.__aexit__()

    def _on_the_side(self, ask: Callable[..., Awaitable[Any]], *about: Any) -> None:
        self._asking.append(asyncio.create_task(self._answered(ask, *about)))

    async def _answered(self, ask: Callable[..., Awaitable[Any]], *about: Any) -> None:
        try:
            await ask(*about)
        except httpx.ConnectError as error:
            raise Unreachable(f"cannot connect for {self._actor}: {error}") from error
        except httpx.HTTPError as error:
            self._remark(f"{self._actor} was not answered: {type(error).__name__}")
        except Refused as refusal:
            self._remark(f"{self._actor}: {refusal}")

    async def _submit(self, message: dict[str, Any]) -> None:
        payload = message.get("payload", {})
        if isinstance(payload, str):  # the hub reads it, and keeps it as a text where it is no object
            found = hub.parsed(payload)
            payload = {"raw_payload": payload} if found is None else found
        job_id = await self._client.submit(
            payload,
            service=message.get("job_type", "unknown"),
            priority=message.get("priority", 0),
            job_id=message.get("message_id") or None,
        )
        self._follow(job_id)

    def _follow(self, job_id: str) -> None:
        if job_id not in self._followed:
            self._followed.add(job_id)
            self._client.follow_in_background(job_id)

    def _observe(self, event: JobEvent) -> None:
        if event.kind is EventKind.GAP:
            self._remark(f"{self._actor} received a gap: {event.message}")
        elif event.state is JobState.UNKNOWN:
            self._remark(f"{self._actor} asked for {event.job_id}, which the server does not know")
        elif (fact := fact_of(event)) is not None:
            self._arrived(Receive(at=self._clock(), actor=self._actor, message=contracted(fact)))


def _set(started: asyncio.Future[None]) -> None:
    if not started.done():
        started.set_result(None)


def _frame_of(text: str) -> str | bytes:
    if text[:2] in {"b'", 'b"'}:
        with contextlib.suppress(ValueError, SyntaxError):
            literal = ast.literal_eval(text)
            if isinstance(literal, bytes):
                return literal
    return text
