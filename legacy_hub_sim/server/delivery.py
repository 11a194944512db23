"""Sending what the core wants sent, in its order, to connections that may read slowly or not at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from aiohttp import web

from legacy_hub_sim.core import Close, Frame, Outgoing
from legacy_hub_sim.server.wire import CHUNK, PAUSE_SECONDS, UnsendableError, chunks, text_of


class Delivery:
    """The open sockets by number. One step's messages go out one after the other, as the hub awaits each of them."""

    def __init__(self, stuck_seconds: float) -> None:
        self._sockets: dict[int, web.WebSocketResponse] = {}
        self._transports: dict[int, asyncio.BaseTransport | None] = {}
        self._stuck_seconds = stuck_seconds

    def add(self, connection: int, socket: web.WebSocketResponse, transport: asyncio.BaseTransport | None) -> None:
        """A socket that can be sent to."""
        self._sockets[connection] = socket
        self._transports[connection] = transport

    def remove(self, connection: int) -> None:
        """A socket that is gone."""
        self._sockets.pop(connection, None)
        self._transports.pop(connection, None)

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Send, and close where the core says so. What cannot be sent is dropped: its reader notices that it went."""
        for item in outgoing:
            match item:
                case Frame():
                    await self._send_message(item)
                case Close():
                    await self._close(item)

    async def close_all(self, code: int) -> None:
        """Close everything that is open, all at once."""
        open_now = [Close(connection, code) for connection in self._sockets]
        await asyncio.gather(*(self._close(close) for close in open_now))

    async def _send_message(self, frame: Frame) -> None:
        try:
            text = text_of(frame.message, frame.style)
        except UnsendableError:
            return
        if not frame.chunked or len(text) <= CHUNK:
            await self._send_text(frame.connection, text)
            return
        for chunk in chunks(text, frame.message, uuid.uuid4().hex):
            await self._send_text(frame.connection, chunk.text())
            await asyncio.sleep(PAUSE_SECONDS)

    async def _send_text(self, connection: int, text: str) -> None:
        """One text frame; a peer that takes none for too long is cut off."""
        socket = self._sockets.get(connection)
        if socket is None or socket.closed:
            return
        try:
            async with asyncio.timeout(self._stuck_seconds):
                await socket.send_str(text)
        except TimeoutError:
            self._cut(connection)
        except (ConnectionError, RuntimeError):
            self.remove(connection)

    async def _close(self, close: Close) -> None:
        socket = self._sockets.get(close.connection)
        if socket is None or socket.closed:
            return
        self.remove(close.connection)
        try:
            async with asyncio.timeout(self._stuck_seconds):
                await socket.close(code=close.code, message=close.reason.encode())
        except TimeoutError:
            self._cut(close.connection)

    def _cut(self, connection: int) -> None:
        """Drop a connection with all that is still unsent to it."""
        transport = self._transports.get(connection)
        self.remove(connection)
        if isinstance(transport, asyncio.Transport):
            transport.abort()
