"""A client of the legacy hub: submits on `/ws/client/{id}` and reads what the hub sends it, field by field."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect

DEADLINE_S = 5


class _Message(msgspec.Struct, kw_only=True, tag_field="type"):
    """What the hub's messages to clients have in common. Unknown fields are ignored, wrong types are not."""

    timestamp: float


class Greeting(_Message, tag="connection_established"):
    message: str


class Accepted(_Message, tag="job_accepted"):
    job_id: str
    status: str
    position: int
    estimated_start: str | None
    notified_workers: int


class Status(_Message, tag="response_job_status"):
    job_id: str
    status: str
    progress: int | None
    worker_id: str | None
    started_at: float | None
    completed_at: float | None
    result: dict[str, Any] | None
    message: str | None


class Progress(_Message, tag="update_job_progress"):
    job_id: str
    worker_id: str
    progress: int
    status: str
    message: str | None
    connector_details: dict[str, Any] | None


class Completed(_Message, tag="complete_job"):
    job_id: str
    worker_id: str
    result: dict[str, Any] | None


class Failed(_Message, tag="fail_job"):
    job_id: str
    worker_id: str
    error: str | None


class Error(_Message, tag="error"):
    error: str
    details: dict[str, Any] | None


class Confirmed(_Message, tag="subscription_confirmed"):
    job_id: str
    monitor_id: str | None
    channels: list[str] | None


Message = Greeting | Accepted | Status | Progress | Completed | Failed | Error | Confirmed


class HubClient:
    """`async with HubClient(ws_url, name)`; everything it received is kept in `received`."""

    def __init__(self, ws_url: str, name: str) -> None:
        self._url = f"{ws_url}/ws/client/{name}"
        self._socket: ClientConnection | None = None
        self.received: list[Message] = []

    async def __aenter__(self) -> Self:
        self._socket = await connect(self._url, max_size=None)
        await self.next(Greeting)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._socket is not None
        await self._socket.close()

    async def send(self, type_: str, **fields: Any) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps({"type": type_, **fields}))

    async def receive(self) -> Message:
        assert self._socket is not None
        async with asyncio.timeout(DEADLINE_S):
            text = await self._socket.recv()
        message: Message = msgspec.json.decode(text, type=Message)
        self.received.append(message)
        return message

    async def next(self, *kinds: type[Message]) -> Any:
        """The next message of these types; others are kept and passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while not isinstance(message := await self.receive(), kinds):
                pass
        return message

    async def submit(self, job_type: str, payload: Any, **fields: Any) -> str:
        await self.send("submit_job", job_type=job_type, payload=payload, **fields)
        accepted: Accepted = await self.next(Accepted)
        return accepted.job_id

    async def status(self, job_id: str) -> Status:
        await self.send("request_job_status", job_id=job_id)
        status: Status = await self.next(Status)
        return status
