"""A modern client that writes down what it does and sees: submits by HTTP, follows by SSE, cancels."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx
import httpx_sse
import msgspec

from harness.history.events import HistoryEvent, Source
from harness.history.file import HistoryWriter
from harness.history.recorders.clients import sse_delivery
from harness.protocols import ENDS, EventKind, Mode
from harness.protocols.script import expectation_of

RETRY_S: Final = 0.1
PATIENCE_S: Final = 60.0
QUIET_S: Final = 60.0


class StackClient:
    """One client of the stack. It repeats what was not answered (ids make that harmless) and resumes its streams."""

    def __init__(self, name: str, url: str, writer: HistoryWriter, *, token: str | None = None) -> None:
        self.name = name
        self._writer = writer
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = httpx.Limits(max_connections=1_000)
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=httpx.Timeout(10, read=QUIET_S), limits=limits
        )
        self._streams: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        for stream in self._streams:
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        await self._http.aclose()

    async def submit(
        self, job_id: str, payload: Mapping[str, Any], *, service: str = "simulation", priority: int = 0
    ) -> bool:
        """Submit a job under its id, again until there is an answer; true where it was accepted."""
        expected = expectation_of(payload)
        about: dict[str, Any] = {"service": service, "priority": priority}
        self._tell(EventKind.SUBMIT, job_id, steps=expected.steps, expects=expected.end, hangs=expected.hangs, **about)
        body = {"service_required": service, "payload": payload, "priority": priority, "id": job_id}
        answer = await self._insist("/api/jobs", {**body, "client_id": self.name})
        self._tell(EventKind.ACCEPTED if answer.is_success else EventKind.REFUSED, job_id, **about)
        return answer.is_success

    async def cancel(self, job_id: str) -> bool:
        """Cancel a job; true where it was cancelled (it may have ended first)."""
        self._tell(EventKind.CANCEL, job_id)
        answer = await self._insist(f"/api/jobs/{job_id}/cancel", {"reason": "the harness says so"})
        if answer.is_success:
            self._tell(EventKind.CANCEL_ACCEPTED, job_id)
        return answer.is_success

    def follow(self, job_id: str) -> asyncio.Task[None]:
        """Follow a job's stream to its end, in the background; the task ends when the ending came."""
        task = asyncio.create_task(self._follow(job_id), name=f"{self.name} follows {job_id}")
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        return task

    async def _follow(self, job_id: str) -> None:
        self._tell(EventKind.SUBSCRIBED, job_id, mode=Mode.WHOLE)
        last_id = ""
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with contextlib.suppress(httpx.HTTPError, httpx_sse.SSEError):  # resumed below
                path = f"/api/jobs/{job_id}/progress"
                async with httpx_sse.aconnect_sse(self._http, "GET", path, headers=headers) as stream:
                    if stream.response.status_code == httpx.codes.NO_CONTENT:
                        return
                    stream.response.raise_for_status()
                    async for message in stream.aiter_sse():
                        last_id = message.id or last_id
                        if self._took_ending(job_id, message):
                            return
            await asyncio.sleep(RETRY_S)

    def _took_ending(self, job_id: str, message: httpx_sse.ServerSentEvent) -> bool:
        try:
            data = msgspec.json.decode(message.data, type=dict[str, Any])
        except msgspec.DecodeError:
            return False
        event = sse_delivery(self.name, message.event, data, self._writer.clock(), entry=message.id, job_id=job_id)
        if event:
            self._writer.add(event)
        return bool(event and event.of in ENDS)

    async def _insist(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """POST until there is an answer that says yes or no. Raises httpx.HTTPError after some patience."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + PATIENCE_S
        while True:
            try:
                answer = await self._http.post(path, json=body)
                if not answer.is_server_error:
                    return answer
                if loop.time() > limit:
                    answer.raise_for_status()
            except httpx.TransportError:
                if loop.time() > limit:
                    raise
            await asyncio.sleep(RETRY_S)

    def _tell(self, kind: EventKind, job_id: str, **fields: Any) -> None:
        self._writer.add(
            HistoryEvent(
                at_ms=self._writer.clock(), source=Source.CLIENT, kind=kind, by=self.name, job_id=job_id, **fields
            )
        )
