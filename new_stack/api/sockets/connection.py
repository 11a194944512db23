"""One WebSocket: bounded in what it may send us, and in how long it may leave what we send unread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from new_stack.api.legacy.frames import Error
from new_stack.api.legacy.frames import encode as encode_frame
from new_stack.api.limits import TokenBucket, bound_buffers
from new_stack.api.log import log
from new_stack.api.services import Services

HEARTBEAT_SECONDS: Final = 30.0
WRITE_BUFFER: Final = 32_768
BINARY: Final = "Binary messages are not supported: send JSON as text"


class ConnectionGone(Exception):  # noqa: N818 - it says what is, not what failed
    """The other side has closed, or was cut off because it does not read."""


class Connection:
    """A WebSocket with its limits. Messages are never compressed: a context each would cost more than all the rest."""

    def __init__(self, services: Services, role: str) -> None:
        settings = services.settings
        self._services = services
        self._role = role
        self._send_seconds = settings.send_timeout_ms / 1000
        self._bucket = TokenBucket(settings.messages_per_second, asyncio.get_running_loop().time)
        self._socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, max_msg_size=settings.message_limit, compress=False, timeout=2.0
        )
        self._transport: asyncio.Transport | None = None

    @property
    def response(self) -> web.WebSocketResponse:
        """What the route answers with."""
        return self._socket

    async def accept(self, request: web.Request) -> None:
        """Finish the handshake."""
        await self._socket.prepare(request)
        self._transport = request.transport
        bound_buffers(self._transport, WRITE_BUFFER)

    async def messages(self) -> AsyncIterator[str]:
        """The text messages, at the pace this connection is allowed; a binary one is answered with an error."""
        async for message in self._socket:
            self._services.metrics.frames[self._role, "in"] += 1
            delay = self._bucket.delay()
            if delay:
                await asyncio.sleep(delay)
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type is WSMsgType.BINARY:
                await self.send(Error(timestamp=self._services.clock(), error=BINARY))

    async def send(self, frame: msgspec.Struct | dict[str, Any]) -> None:
        """Send one message. Raises ConnectionGone."""
        await self.send_text(encode_frame(frame).decode())

    async def send_text(self, text: str) -> None:
        """Send one message that is already JSON. Raises ConnectionGone."""
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._socket.send_str(text)
        except TimeoutError:
            log("socket_not_reading", level="warning", role=self._role)
            if self._transport is not None:
                self._transport.abort()
            raise ConnectionGone from None
        except (ConnectionError, RuntimeError):
            raise ConnectionGone from None
        self._services.metrics.frames[self._role, "out"] += 1

    async def close(self, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """Say good-bye; give up where the other side does not answer."""
        await self._socket.close(code=code, message=reason.encode()[:120])
