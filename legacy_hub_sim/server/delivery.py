"""Sends what the core wants sent, large messages in chunks, to connections that may read slowly or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from legacy_hub_sim.core import Close, Frame, Outgoing, Style

CHUNK = 1_000_000
"""Characters in one chunk; a message of more is cut."""
PAUSE_SECONDS = 0.05
"""After each chunk."""


class UnsendableError(Exception):
    """A message that cannot be written: text that is no Unicode, or objects in objects without end."""


def text_of(message: dict[str, Any], style: Style) -> str:
    """A message as the hub writes it; raises `UnsendableError` where it cannot be written."""
    try:
        if style is Style.SPACED:
            return json.dumps(message)
        text = compact(message)
        text.encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise UnsendableError(str(error)) from error
    return text


def compact(message: dict[str, Any]) -> str:
    """No spaces, characters as they are, and null for the numbers JSON does not have."""
    try:
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(finite(message), separators=(",", ":"), ensure_ascii=False)


def finite(value: Any) -> Any:
    """A value with null for the numbers JSON does not have."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {name: finite(item) for name, item in value.items()}
        case list():
            return [finite(item) for item in value]
    return value


class Chunk(msgspec.Struct, frozen=True):
    """One `chunked_message`."""

    chunk_id: int
    total_chunks: int
    message_id: str
    message_hash: str
    original_type: str
    job_id: str | None
    content: str

    def text(self) -> str:
        """As it goes out."""
        return json.dumps({"type": "chunked_message", **msgspec.structs.asdict(self)})


def chunks(text: str, message: dict[str, Any], nonce: str) -> list[Chunk]:
    """A large message in pieces; `nonce` makes its id unique."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    pieces = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
    return [
        Chunk(
            chunk_id=number,
            total_chunks=len(pieces),
            message_id=f"{digest[:8]}-{nonce[:8]}",
            message_hash=digest,
            original_type=str(message.get("type", "unknown")),
            job_id=message.get("job_id"),
            content=piece,
        )
        for number, piece in enumerate(pieces)
    ]


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
