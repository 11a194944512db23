"""An open stream of server-sent events: writes that do not wait for ever, keep-alive, and a last word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Final, Protocol

from aiohttp import web

from new_stack.api.limits import bound_buffers
from new_stack.api.log import log
from new_stack.api.services import Services
from new_stack.api.sse import frames
from new_stack.queue.errors import QueueError

WRITE_BUFFER: Final = 8_192
"""What waits in this process for a reader that does not read; more waits in its bounded queue, shared with others."""

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


class ReaderGone(Exception):  # noqa: N818 - it says what is, not what failed
    """The reader closed the connection, or was cut off because it does not read."""


class Writer(Protocol):
    """Where the text of a stream goes: a response, or the messages of a WebSocket."""

    async def write(self, data: bytes) -> None:
        """Send bytes."""

    async def write_all(self, parts: Iterable[bytes]) -> None:
        """Send many frames in few writes."""


class Stream:
    """The response side of one SSE request."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._seconds = services.settings.send_timeout_ms / 1000
        self._transport: asyncio.Transport | None = None
        self.response = web.StreamResponse(headers=HEADERS)

    async def open(self, request: web.Request) -> None:
        """Send the headers."""
        await self.response.prepare(request)
        self._transport = request.transport
        bound_buffers(self._transport, WRITE_BUFFER)

    async def write(self, data: bytes) -> None:
        """Send bytes. Raises ReaderGone."""
        try:
            async with asyncio.timeout(self._seconds):
                await self.response.write(data)
        except TimeoutError:
            log("stream_not_reading", level="warning")
            if self._transport is not None:
                self._transport.abort()
            raise ReaderGone from None
        except ConnectionError:
            raise ReaderGone from None

    async def write_all(self, parts: Iterable[bytes]) -> None:
        """Send many frames in few writes, none of them large. Raises ReaderGone."""
        chunk: list[bytes] = []
        size = 0
        for part in parts:
            if chunk and size + len(part) > WRITE_BUFFER:
                await self.write(b"".join(chunk))
                chunk, size = [], 0
            chunk.append(part)
            size += len(part)
        if chunk:
            await self.write(b"".join(chunk))

    async def carry(self, run: Awaitable[None]) -> web.StreamResponse:
        """Say how soon to reconnect, then let `run` write; whatever ends it, the reader is told what can be told."""
        try:
            await self.write(frames.opening(self._services.settings.sse_retry_ms))
            await run
        except ReaderGone:
            pass
        except QueueError as error:
            with suppress(ReaderGone):
                await self.write(frames.disconnect_frame(f"the queue is not available: {error}"))
        except Exception as error:  # noqa: BLE001 - the response has begun: log it whole and break off
            log("stream_failed", level="error", error=repr(error))
            if self._transport is not None:
                self._transport.abort()
        return self.response
