"""One WebSocket to the server: opened with its greeting and token, read message by message, errors as ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import aiohttp
import msgspec

from new_stack.client import hub_words
from new_stack.client.errors import RequestRefused, ServerUnavailable
from new_stack.client.patience import Patience


class Socket:
    """A connection as `/ws/client/{client_id}`."""

    def __init__(
        self, url: str, client_id: str, session: aiohttp.ClientSession, patience: Patience, token: str | None
    ) -> None:
        parts = urlsplit(url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        path = f"{parts.path.rstrip('/')}/ws/client/{quote(client_id, safe='')}"
        self._url = urlunsplit((scheme, parts.netloc, path, urlencode({"token": token}) if token else "", ""))
        self._shown = urlunsplit((scheme, parts.netloc, path, "", ""))
        self._session = session
        self._patience = patience
        self._raw: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        """Connect and read the greeting. Raises ServerUnavailable, or RequestRefused for a wrong token."""
        try:
            async with asyncio.timeout(self._patience.connect_s):
                self._raw = await self._session.ws_connect(
                    self._url, max_msg_size=0, heartbeat=self._patience.silence_s / 2
                )
                greeting = await self.receive()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await self.close()
            raise ServerUnavailable(f"{self._shown} cannot be reached: {error or type(error).__name__}") from error
        except ServerUnavailable:
            await self.close()
            raise
        if greeting["type"] == "error":
            await self.close()
            raise RequestRefused(str(greeting.get("error")), status=401)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Say good-bye, if there is somebody to say it to."""
        if self._raw is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._raw.close()

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message. Raises ServerUnavailable."""
        assert self._raw is not None  # noqa: S101 - it is entered first
        try:
            await self._raw.send_str(msgspec.json.encode(message).decode())
        except (aiohttp.ClientError, OSError) as error:
            raise ServerUnavailable(f"{self._shown}: {error or type(error).__name__}") from error

    async def receive(self) -> hub_words.Message:
        """The next message. Raises ServerUnavailable where the connection ends."""
        assert self._raw is not None  # noqa: S101 - as above
        while True:
            frame = await self._raw.receive()
            if frame.type is aiohttp.WSMsgType.TEXT:
                message = hub_words.decode(frame.data)
                if message is not None:
                    return message
            elif frame.type is not aiohttp.WSMsgType.BINARY:
                raise ServerUnavailable(f"{self._shown}: the connection was closed (code {self._raw.close_code})")

    async def messages(self) -> AsyncIterator[hub_words.Message]:
        """All messages to the connection's end, which is a ServerUnavailable."""
        while True:
            yield await self.receive()
