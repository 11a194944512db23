"""A WebSocket conversation that forgets nothing: a script says things and waits for what it has to hear."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Final, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

LARGEST_MESSAGE: Final = 64_000_000
Message = dict[str, Any]


class Heard(msgspec.Struct, frozen=True):
    """One message that was received, with the actor's clock in ms."""

    at_ms: float
    message: Message


class NotHeard(AssertionError):  # noqa: N818 - the state is the name
    """What a script waited for did not come. The text tells what came instead."""


class Conversation:
    """One actor's WebSocket, as an async context. `heard` grows meanwhile and survives a reconnect."""

    def __init__(
        self, url: str, name: str, *, token: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name: Final = name
        self.heard: list[Heard] = []
        self.closed: ConnectionClosed | None = None
        """How the newest connection ended, None while it is open."""
        self._url = url if token is None else f"{url}?token={token}"
        self._clock = clock
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Connect, or connect again."""
        self.closed = None
        self._connection = await connect(
            self._url,
            max_size=LARGEST_MESSAGE,
            max_queue=None,
            ping_interval=None,
            compression=None,
            close_timeout=2,
            proxy=None,
        )
        self._reader = asyncio.create_task(self._read(self._connection), name=f"reader of {self.name}")

    async def say(self, message: Message | str | bytes) -> None:
        """Send a message as JSON, or a frame as it is."""
        if self._connection is None:
            raise NotHeard(f"{self.name} is not connected")
        await self._connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def close(self) -> None:
        """Leave in order."""
        if self._connection is not None:
            await self._connection.close()
            await self._ended()

    async def drop(self) -> None:
        """Have the TCP connection cut, with no closing handshake."""
        if self._connection is not None:
            self._connection.transport.abort()
            await self._ended()

    async def _ended(self) -> None:
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def hear(
        self, matching: Callable[[Message], bool], what: str, *, timeout_s: float = 10.0, after: int = 0
    ) -> Message:
        """The first message from place `after` of `heard` on that matches, waited for. Raises NotHeard."""
        place = after
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for place in range(place, len(self.heard)):  # noqa: B020 - goes on where it stopped
                        if matching(self.heard[place].message):
                            return self.heard[place].message
                    place = len(self.heard)
                    if self.closed is not None:
                        raise NotHeard(f"{self.name} waited for {what}; its connection closed: {self.closed}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            words = [entry.message.get("type") for entry in self.heard[after:]][-20:]
            raise NotHeard(f"{self.name} waited {timeout_s:g} s for {what} and heard {words}") from None

    async def expect(self, word: str, *, timeout_s: float = 10.0, after: int = 0, **fields: Any) -> Message:
        """The first message of that type whose fields have these values. Raises NotHeard."""

        def matching(message: Message) -> bool:
            return message.get("type") == word and all(message.get(key) == value for key, value in fields.items())

        return await self.hear(matching, f"{word} {fields or ''}".strip(), timeout_s=timeout_s, after=after)

    def messages(self, word: str | None = None, **fields: Any) -> list[Message]:
        """What was heard so far, of that type and with these values."""
        return [
            entry.message
            for entry in self.heard
            if (word is None or entry.message.get("type") == word)
            and all(entry.message.get(key) == value for key, value in fields.items())
        ]

    async def _read(self, connection: ClientConnection) -> None:
        try:
            while True:
                data = await connection.recv()
                with contextlib.suppress(ValueError):
                    message = json.loads(data)
                    if isinstance(message, dict):
                        self.heard.append(Heard(self._clock() * 1000, message))
                        self._news.set()
        except ConnectionClosed as end:
            if connection is self._connection:
                self.closed = end
                self._news.set()
