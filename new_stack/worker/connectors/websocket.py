"""The connector for back ends that take a job over a WebSocket and report on it there.

One connection for each job, so that no two jobs' messages can be mixed up. We send
`{"type": "job", "job_id", "attempt", "service", "payload"}`; the back end sends any number of
`{"type": "progress", "progress", "message"}` and then `{"type": "result", "result"}` or
`{"type": "error", "error", "retryable"}`. A job that is stopped is told `{"type": "cancel", "job_id"}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from new_stack.settings import SettingsError
from new_stack.worker.connectors.connector import Connector, ConnectorSettings, JobContext, JobFailed
from new_stack.worker.connectors.http import STOP_S, fill


class WebSocketSettings(ConnectorSettings, frozen=True, kw_only=True):
    """`url` may contain {job_id} and {service}."""

    url: str
    authorization: str = ""
    connect_timeout_s: float = 10
    silence_s: float = 60
    """How long the back end may say nothing before it counts as gone; any message counts, also `{"type": "alive"}`."""
    ping_s: float = 15
    max_message_bytes: int = 10_000_000


class WebSocketConnector(Connector):
    """Speaks the protocol at the head of this file."""

    Settings = WebSocketSettings

    def __init__(self, settings: WebSocketSettings) -> None:
        super().__init__(settings)
        if not settings.url.startswith(("ws://", "wss://", "http://", "https://")):
            raise SettingsError(f"the url of a WebSocket begins with ws:// or wss://, unlike {settings.url!r}")
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session; no connection is made."""
        authorization = self.settings.authorization
        self._session = aiohttp.ClientSession(headers={"Authorization": authorization} if authorization else {})

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def run(self, job: JobContext) -> Any:
        """One connection, one job."""
        async with self._connected(fill(self.settings.url, job)) as socket:
            try:
                await _send(
                    socket,
                    {
                        "type": "job",
                        "job_id": job.job_id,
                        "attempt": job.attempt,
                        "service": job.service,
                        "payload": job.payload,
                    },
                )
                return await self._follow(socket, job)
            except asyncio.CancelledError:
                await _say_goodbye(socket, job)
                raise

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        if self._session is None:
            raise RuntimeError("the connector was not opened")
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s):
                socket = await self._session.ws_connect(
                    url, heartbeat=self.settings.ping_s, max_msg_size=self.settings.max_message_bytes
                )
        except TimeoutError as error:
            raise JobFailed(f"{url}: no connection within {self.settings.connect_timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise JobFailed(f"{url}: {error or type(error).__name__}") from error
        try:
            yield socket
        finally:
            await socket.close()

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse, job: JobContext) -> Any:
        while True:
            message = await self._receive(socket)
            match message.get("type"):
                case "progress":
                    percent = message.get("progress")
                    if isinstance(percent, int | float):
                        text = message.get("message")
                        await job.progress(min(100, max(-1, percent)), text if isinstance(text, str) else None)
                case "result":
                    return message.get("result")
                case "error":
                    retryable = message.get("retryable") is not False
                    raise JobFailed(str(message.get("error") or "an error without a text"), retryable=retryable)

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
        try:
            frame = await socket.receive(self.settings.silence_s)
        except TimeoutError as error:
            raise JobFailed(f"the back end said nothing for {self.settings.silence_s:g} s") from error
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise JobFailed(f"the back end closed the connection before the job's end (code {socket.close_code})")
        try:
            return msgspec.json.decode(frame.data, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise JobFailed(f"the back end sent something that is no message: {error}") from error


async def _send(socket: aiohttp.ClientWebSocketResponse, message: dict[str, Any]) -> None:
    try:
        await socket.send_str(msgspec.json.encode(message).decode())
    except (aiohttp.ClientError, OSError) as error:
        raise JobFailed(f"the back end closed the connection: {error or type(error).__name__}") from error


async def _say_goodbye(socket: aiohttp.ClientWebSocketResponse, job: JobContext) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await _send(socket, {"type": "cancel", "job_id": job.job_id})
    except (JobFailed, TimeoutError):
        return
