"""The connector for back ends that take a job over a WebSocket and report on it there.

One connection for each job, so that no two jobs' messages can be mixed up. We send
`{"type": "job", "job_id", "attempt", "service", "payload"}`; the back end sends any number of
`{"type": "progress", "progress", "message"}` and then `{"type": "result", "result"}` or
`{"type": "error", "error", "retryable"}`. When a job is stopped, we send `{"type": "cancel", "job_id"}`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from new_stack.worker.connectors import JobContext, JobFailed
from new_stack.worker.connectors.http import STOP_S, BackendConnector, BackendSettings, error_text, fill


class WebSocketSettings(BackendSettings, frozen=True, kw_only=True):
    """`url` may contain {job_id} and {service}."""

    silence_s: float = 60
    """How long the back end may say nothing before it counts as gone; any message counts, also `{"type": "alive"}`."""
    ping_s: float = 15
    max_message_bytes: int = 10_000_000


class WebSocketConnector(BackendConnector):
    """Speaks the protocol at the head of this file."""

    Settings = WebSocketSettings
    schemes = ("ws://", "wss://", "http://", "https://")

    async def run(self, job: JobContext) -> Any:
        """Open a connection for the job, and close it at its end."""
        settings = self.settings
        url = fill(settings.url, job)
        async with await self.open_websocket(
            url, ping_s=settings.ping_s, max_message_bytes=settings.max_message_bytes
        ) as socket:
            described = {"job_id": job.job_id, "attempt": job.attempt, "service": job.service, "payload": job.payload}
            try:
                job.asks("SEND", url, job.payload, request_type="websocket")
                await _send(socket, {"type": "job", **described})
                return await self._follow(socket, job)
            except asyncio.CancelledError:
                with suppress(JobFailed, TimeoutError):
                    async with asyncio.timeout(STOP_S):
                        await _send(socket, {"type": "cancel", "job_id": job.job_id})
                raise

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
        raise JobFailed(f"the back end closed the connection: {error_text(error)}") from error
