"""A client of the new stack: HTTP for what it wants, server-sent events for what it is told."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Self

import httpx
import httpx_sse
import msgspec

from harness.errors import CouldNotRun

ENDINGS = frozenset({"completed", "failed", "cancelled"})


class Told(msgspec.Struct, frozen=True):
    """One server-sent event, with the client's clock in ms."""

    at_ms: float
    id: str
    kind: str
    data: Any


class Refused(CouldNotRun):
    """The server answered with an error. `status` and `body` are its own."""

    def __init__(self, what: str, status: int, body: Any) -> None:
        super().__init__(f"{what} was refused with {status}: {body}")
        self.status = status
        self.body = body


class ModernClient:
    """An HTTP client, as an async context."""

    def __init__(
        self,
        http_url: str,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=http_url, headers=headers, timeout=timeout_s, trust_env=False)
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def submit(
        self, payload: Any = None, *, service: str = "simulation", priority: int = 0, job_id: str | None = None
    ) -> str:
        """Submit a job and answer its id. Raises Refused."""
        body = {"service_required": service, "payload": payload or {}, "priority": priority}
        answer = await self._ask("POST", "/api/jobs", body | ({"id": job_id} if job_id else {}))
        return str(answer["job_id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        """How the job stands. Raises Refused."""
        return await self._ask("GET", f"/api/jobs/{job_id}")

    async def cancel(self, job_id: str, reason: str | None = None) -> dict[str, Any]:
        """Cancel a job. Raises Refused."""
        return await self._ask("POST", f"/api/jobs/{job_id}/cancel", {"reason": reason} if reason else {})

    async def retry(self, job_id: str) -> dict[str, Any]:
        """Put an ended job back in the line. Raises Refused."""
        return await self._ask("POST", f"/api/jobs/{job_id}/retry", {})

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self._http.request(method, path, json=body)
        if not answer.is_success:
            raise Refused(f"{method} {path}", answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    async def events(self, path: str, *, last_event_id: str | None = None) -> AsyncGenerator[Told, None]:
        """Everything that a stream of events tells, until the server ends it. Raises Refused."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        async with httpx_sse.aconnect_sse(self._http, "GET", path, headers=headers, timeout=None) as source:
            if source.response.status_code == httpx.codes.NO_CONTENT:
                return
            if not source.response.is_success:
                await source.response.aread()
                raise Refused(f"GET {path}", source.response.status_code, source.response.text)
            async for event in source.aiter_sse():
                if not event.data:
                    continue  # only a `retry:`, which the rules of the format do not count as an event
                yield Told(self._clock() * 1000, event.id, event.event, msgspec.json.decode(event.data))

    def follow(self, job_id: str, *, last_event_id: str | None = None) -> AsyncGenerator[Told, None]:
        """The events of one job, from its first or from the one after that id, to its end."""
        return self.events(f"/api/jobs/{job_id}/progress", last_event_id=last_event_id)

    async def follow_to_end(self, job_id: str, *, cut_after: int | None = None) -> list[Told]:
        """All events of a job until its stream ends. With `cut_after` the connection is given up after so many events,
        again and again, and resumed with Last-Event-ID: nothing may be lost or come twice.
        """
        heard: list[Told] = []
        while not heard or heard[-1].kind not in ENDINGS:
            before = len(heard)
            async with aclosing(self.follow(job_id, last_event_id=heard[-1].id if heard else None)) as stream:
                async for told in stream:
                    heard.append(told)
                    if cut_after is not None and len(heard) - before >= cut_after:
                        break
                else:
                    break
        return heard
