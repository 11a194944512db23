"""A client of the legacy protocol that writes down what it does and sees, on the hub and on the stack alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect

from harness.history.file import HistoryWriter
from harness.history.recorders.clients import LegacyTranslator

ANSWER_S: Final = 30.0
FRAME_LIMIT: Final = 16 * 2**20


class LegacyClient:
    """One connection. Submissions name their own id; a connection that breaks is not opened again."""

    def __init__(self, name: str, ws_url: str, writer: HistoryWriter) -> None:
        self.name = name
        self._url = f"{ws_url}/ws/client/{name}"
        self._writer = writer
        self._translator = LegacyTranslator(name)
        self._connection: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._accepted: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> Self:
        self._connection = await connect(self._url, max_size=FRAME_LIMIT, close_timeout=1)
        self._reading = asyncio.create_task(self._read(self._connection), name=f"{self.name} reads")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        for event in self._translator.left(self._writer.clock()):
            self._writer.add(event)
        if self._connection:
            await self._connection.close()
        if self._reading:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def submit(
        self, job_id: str, payload: Mapping[str, Any], *, service: str = "simulation", priority: int = 0
    ) -> None:
        """Submit a job and wait for its acceptance. Raises TimeoutError."""
        accepted = self._accepted.setdefault(job_id, asyncio.Event())
        body = {"job_type": service, "priority": priority, "payload": payload, "message_id": job_id}
        await self._send({"type": "submit_job", **body})
        async with asyncio.timeout(ANSWER_S):
            await accepted.wait()

    async def subscribe(self, job_id: str) -> None:
        """Ask to be told of somebody else's job."""
        await self._send({"type": "subscribe_job", "job_id": job_id})

    async def cancel(self, job_id: str) -> None:
        """Ask for a job to be cancelled."""
        await self._send({"type": "cancel_job", "job_id": job_id, "reason": "the harness says so"})

    async def _send(self, message: dict[str, Any]) -> None:
        if self._connection is None:
            raise RuntimeError("the client is not connected")
        for event in self._translator.sent(message, self._writer.clock()):
            self._writer.add(event)
        await self._connection.send(msgspec.json.encode(message).decode())

    async def _read(self, connection: ClientConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for frame in connection:
                message = msgspec.json.decode(frame, type=dict[str, Any])
                for event in self._translator.received(message, self._writer.clock()):
                    self._writer.add(event)
                if message.get("type") == "job_accepted":
                    self._accepted.setdefault(str(message.get("job_id")), asyncio.Event()).set()
