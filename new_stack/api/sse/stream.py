"""Server-sent events (HTML standard, section 9.2): their text, and an open stream whose writes never wait for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from new_stack.api.guard.peer import Peer, PeerGone
from new_stack.api.http.http_io import encode
from new_stack.api.legacy.v2.universal import progress_message
from new_stack.api.services import Services
from new_stack.api.streaming.fanout import Published
from new_stack.log import log
from new_stack.queue.errors import JobNotFound, QueueError
from new_stack.queue.events import Event

WRITE_BUFFER: Final = 8_192
"""What waits in this process for a reader that does not read; more waits in its bounded queue, shared with others."""

SLICE: Final = 65_536

KEEPALIVE: Final = b": keep-alive\n\n"

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def event_data(event: Event) -> dict[str, Any]:
    """An event as SSE data: every field that it has, the service under its legacy name too."""
    fields = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    del fields["id"], fields["result_omitted"]
    return fields | {"job_type": event.service_required}


def event_frame(event: Event) -> bytes:
    """One event of the feed, with the stream's id as the cursor to resume from."""
    return _frame(event, event_data(event), event.kind.value)


def job_event_frame(event: Event) -> bytes:
    """One event of a job's stream. It has no name where the universal client knows it as a `progress`: an EventSource
    gives that client messages without a name only. Our fields stand beside that client's; `kind` says what happened.
    """
    message = progress_message(event)
    if message is None:
        return event_frame(event)
    return _frame(event, message | event_data(event), "")


def _frame(event: Event, data: dict[str, Any], name: str) -> bytes:
    named = b"event: %b\n" % name.encode() if name else b""
    return b"id: %b\n%bdata: %b\n\n" % (event.id.encode(), named, _one_line(encode(data)))


def gap_frame(reason: str, oldest: str) -> bytes:
    """Tells the reader that events are missing, why, and which id is the oldest still kept.

    It carries no id: a reader that breaks off right after it resumes from where it was.
    """
    return b"event: gap\ndata: %b\n\n" % encode({"reason": reason, "oldest": oldest})


def disconnect_frame(reason: str) -> bytes:
    """The last frame before the server closes a stream that has not ended; the reader resumes from its id."""
    return b"event: disconnect\ndata: %b\n\n" % encode({"reason": reason})


def _one_line(data: bytes) -> bytes:
    """Raw JSON of a job's result may be laid out over lines; each needs its own `data:`."""
    if b"\n" not in data and b"\r" not in data:
        return data
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"\ndata: ".join(lines)


def cursor_of(request: web.Request) -> str | None:
    """The id that the reader had last: the header, or the query for those who cannot set one."""
    return request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or None


class Writer(Protocol):
    """Where the text of a stream goes: a response, or the messages of a WebSocket."""

    async def write_all(self, parts: Iterable[bytes]) -> None:
        """Send frames."""


async def send_events(
    services: Services, stream: Writer, items: Iterable[Published], frame: Callable[[Event], bytes]
) -> int:
    """Send events, those with a large result one at a time; answers how many bytes they were."""
    parts: list[bytes] = []
    size = 0
    for item in items:
        if item.event.result_omitted:
            await stream.write_all(parts)
            parts = []
            async with (
                services.large_results.places
            ):  # a reader may take its time over one, and each is held until then
                await item.complete(services.queue)
                size += len(item.encoded(frame))
                await stream.write_all([item.encoded(frame)])
        else:
            parts.append(item.encoded(frame))
            size += len(parts[-1])
    await stream.write_all(parts)
    return size


class Stream:
    """The response side of one SSE request."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.response = web.StreamResponse(headers=HEADERS)

    async def serve(self, request: web.Request, run: Callable[[Stream], Awaitable[object]]) -> web.StreamResponse:
        """Send the headers, and let `run` write. Raises a 429 problem where the address has too many streams."""
        services = self._services
        with services.limiter.connection(request), services.connections.counted("sse"):
            await self.response.prepare(request)
            seconds = services.settings.send_timeout_ms / 1000
            self._peer = Peer(request.transport, buffer=WRITE_BUFFER, seconds=seconds, event="stream_not_reading")
            return await self._carry(run(self))

    async def _write(self, data: bytes) -> None:
        """Send a frame in slices: what the transport takes over it holds in a copy. Raises PeerGone."""
        for start in range(0, len(data), SLICE):
            await self._peer.takes(self.response.write(data[start : start + SLICE]))

    async def write_all(self, parts: Iterable[bytes]) -> None:
        """Send many frames in few writes, none of them large. Raises PeerGone."""
        chunk: list[bytes] = []
        size = 0
        for part in parts:
            if chunk and size + len(part) > WRITE_BUFFER:
                await self._write(b"".join(chunk))
                chunk, size = [], 0
            chunk.append(part)
            size += len(part)
        if chunk:
            await self._write(b"".join(chunk))

    async def _carry(self, run: Awaitable[object]) -> web.StreamResponse:
        """Tell the reader how soon to reconnect, then let `run` write; a failure is told as far as it can be."""
        try:
            await self._write(b"retry: %d\n\n" % self._services.settings.sse_retry_ms)
            await run
        except PeerGone:
            pass
        except JobNotFound as gone:
            with suppress(PeerGone):
                await self._write(disconnect_frame(str(gone)))
        except QueueError as error:
            with suppress(PeerGone):
                await self._write(disconnect_frame(f"the queue is not available: {error}"))
        except Exception as error:  # noqa: BLE001 - the response has begun: log it whole and break off
            log.error("stream_failed", error=repr(error))
            self._peer.abort()
        return self.response
