"""The universal client of the first new stack: one class with the modes `websocket`, `http` and `auto`.

Over the WebSocket it connects to `/`, numbers its requests and matches answers by that number. Over HTTP it reads a
job's status as `{job: …}` and listens to the unnamed messages of a job's event source only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect

DEADLINE_S = 5
ENDS = {"completed", "failed"}

Mode = Literal["websocket", "http", "auto"]


class Job(msgspec.Struct, kw_only=True):
    """A job as this client knows it. A status that it does not know is an error."""

    id: str
    service_required: str
    priority: int
    payload: dict[str, Any]
    requirements: dict[str, Any] | None = None
    customer_id: str | None = None
    created_at: datetime
    assigned_at: datetime | None = None
    completed_at: datetime | None = None
    worker_id: str | None = None
    status: Literal["pending", "assigned", "in_progress", "completed", "failed"]
    retry_count: int
    max_retries: int


class ProgressData(msgspec.Struct, kw_only=True):
    """A step of a job; the number comes as text."""

    progress: str
    status: str
    message: str | None = None
    worker_id: str | None = None


class Progress(msgspec.Struct, kw_only=True, tag_field="type", tag="progress"):
    """A step of a job, over either way."""

    job_id: str
    data: ProgressData
    timestamp: datetime


class RefusedError(Exception):
    """The server answered with an error."""


class UniversalClient:
    """`async with UniversalClient(http_url, mode) as client`."""

    def __init__(self, http_url: str, mode: Mode = "auto") -> None:
        self._http_url = http_url.rstrip("/")
        self._mode = mode
        self._numbers = 0
        self._http: httpx.AsyncClient | None = None
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._unnumbered: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._progress: dict[str, asyncio.Queue[Progress]] = {}
        self._subscribed: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> Self:
        if self._mode != "websocket":
            self._http = httpx.AsyncClient(base_url=self._http_url, timeout=DEADLINE_S)
            (await self._http.get("/health")).raise_for_status()
        if self._mode != "http":
            self._socket = await connect(f"ws{self._http_url.removeprefix('http')}/", max_size=None)
            self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None and self._reader is not None:
            await self._socket.close()
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._http is not None:
            await self._http.aclose()

    async def submit_job(self, **job: Any) -> str:
        """Submit, over HTTP where it may; the job's id."""
        if self._http is not None:
            answer = await self._http.post("/api/jobs", json=job)
            body = answer.json()
            if answer.is_error:
                raise RefusedError(str(_text(body["error"])))
            return _text(body["job_id"])
        return _text((await self._ask("submit_job", data=job))["job_id"])

    async def get_job_status(self, job_id: str) -> Job | None:
        """The job, or None where there is none."""
        if self._http is not None:
            answer = await self._http.get(f"/api/jobs/{job_id}")
            if answer.status_code == 404:
                return None
            document = answer.raise_for_status().json()["job"]
        else:
            document = (await self._ask("get_job_status", job_id=job_id))["job"]
        return msgspec.convert(document, Job)

    async def follow(self, job_id: str) -> AsyncIterator[Progress]:
        """Progress to the end: over the WebSocket where there is one, else by an event source."""
        steps = self._by_socket(job_id) if self._socket is not None else self._by_event_source(job_id)
        async with contextlib.aclosing(steps):  # type: ignore[type-var]
            async for step in steps:
                yield step
                if step.data.status in ENDS:
                    return

    async def until_subscribed(self, job_id: str) -> None:
        """Over a WebSocket only what happens after the subscription is sent; an event source has the history."""
        if self._socket is not None:
            async with asyncio.timeout(DEADLINE_S):
                await self._subscribed.setdefault(job_id, asyncio.Event()).wait()

    async def _by_socket(self, job_id: str) -> AsyncIterator[Progress]:
        steps = self._progress.setdefault(job_id, asyncio.Queue())
        await self._send("subscribe_progress", job_id=job_id)
        try:
            while True:
                async with asyncio.timeout(DEADLINE_S):
                    yield await steps.get()
        finally:
            await self._send("unsubscribe_progress", job_id=job_id)

    async def _by_event_source(self, job_id: str) -> AsyncIterator[Progress]:
        """As a browser's EventSource with an `onmessage` handler: what has a name is not for it."""
        assert self._http is not None
        async with self._http.stream("GET", f"/api/jobs/{job_id}/progress") as response:
            response.raise_for_status()
            name, data = "", []
            async for line in response.aiter_lines():
                field, _, value = line.partition(":")
                if field == "event":
                    name = value.strip()
                elif field == "data":
                    data.append(value.removeprefix(" "))
                elif not line:
                    if data and name in {"", "message"}:
                        yield msgspec.json.decode("\n".join(data), type=Progress)
                    name, data = "", []

    async def _ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if type_ == "submit_job":
            self._answers[self._numbers + 1] = answered
        await self._send(type_, **fields)
        async with asyncio.timeout(DEADLINE_S):
            answer = await answered if type_ == "submit_job" else await self._unnumbered.get()
        if answer["type"] == "error":
            raise RefusedError(_text(answer["error"]))
        return answer

    async def _send(self, type_: str, **fields: Any) -> int:
        assert self._socket is not None
        self._numbers += 1
        await self._socket.send(json.dumps({"type": type_, "id": self._numbers, **fields}))
        return self._numbers

    async def _read(self) -> None:
        assert self._socket is not None
        async for text in self._socket:
            message = json.loads(text)
            match message["type"]:
                case "progress":
                    step = msgspec.convert(message, Progress)
                    if step.job_id in self._progress:
                        self._progress[step.job_id].put_nowait(step)
                case "job_submitted" | "error" if message.get("message_id") in self._answers:
                    assert type(message["message_id"]) is int
                    self._answers.pop(message["message_id"]).set_result(message)
                case "job_status" | "error":
                    self._unnumbered.put_nowait(message)
                case "subscribed":
                    self._subscribed.setdefault(message["job_id"], asyncio.Event()).set()


def _text(value: Any) -> str:
    assert type(value) is str, f"not text: {value!r}"
    return value
