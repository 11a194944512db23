"""A client actor of a recording, played as a client of the new stack: HTTP to say things, server-sent events to hear.

It tells facts (see `harness.parity.facts`), so that it can be held against the client that was recorded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import httpx
import httpx_sse
import msgspec

from harness.cassettes import Receive, contracted, expanded
from harness.cassettes.replay.wire import Arrived, Clock, Remark, Unreachable, json_object
from harness.parity.facts import Fact, fact_of_event

_ENDINGS = frozenset({"completed", "failed", "cancelled"})


class ModernActor:
    """Understands what an old client would send and does the same over HTTP; what has no meaning there it leaves."""

    def __init__(
        self, actor: str, http_url: str, client: httpx.AsyncClient, arrived: Arrived, remark: Remark, clock: Clock
    ) -> None:
        self._actor = actor
        self._jobs_url = f"{http_url}/api/jobs"
        self._client = client
        self._arrived = arrived
        self._remark = remark
        self._clock = clock
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._asking: list[asyncio.Task[Any]] = []

    async def send(self, content: Any, *, is_text: bool) -> None:
        """Do what the message means."""
        message = (json_object(str(content)) if is_text else expanded(content)) or {}
        match message:
            case {"type": "submit_job"}:
                await self._submit(message)
            case {"type": "request_job_status", "job_id": str(job_id)}:
                self._on_the_side(self._status(job_id))
            case {"type": "cancel_job", "job_id": str(job_id)}:
                reason = {"reason": message["reason"]} if message.get("reason") else {}
                self._on_the_side(self._ask("POST", f"/{job_id}/cancel", reason))
            case {"type": "force_retry_job", "job_id": str(job_id)}:
                self._on_the_side(self._ask("POST", f"/{job_id}/retry", {}))
            case {"type": "subscribe_job", "job_id": str(job_id)}:
                self._follow(job_id)
            case _:
                self._remark(f"{self._actor}: HTTP has nothing like {str(content)[:80]}")

    def _on_the_side(self, asking: Coroutine[Any, Any, Any]) -> None:
        """A client that leaves at once does not wait for the answer."""
        self._asking.append(asyncio.create_task(asking))

    async def _status(self, job_id: str) -> None:
        answer = await self._ask("GET", f"/{job_id}")
        if answer is not None:
            self._tell({"type": "status", **{name: answer.get(name) for name in ("job_id", "status", "result")}})

    async def _submit(self, message: dict[str, Any]) -> None:
        body = {
            "service_required": message.get("job_type", "unknown"),
            "payload": message.get("payload", {}),
            "priority": message.get("priority", 0),
            "client_id": self._actor,
        }
        chosen = {"id": message["message_id"]} if message.get("message_id") else {}
        answer = await self._ask("POST", "", body | chosen)
        if answer is not None:
            self._tell({"type": "accepted", "job_id": answer["job_id"]})
            self._follow(answer["job_id"])

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        try:
            answer = await self._client.request(method, self._jobs_url + path, content=content, headers=headers)
        except httpx.ConnectError as error:
            raise Unreachable(f"cannot connect to {self._jobs_url}: {error}") from error
        except httpx.HTTPError as error:
            self._remark(f"{self._actor}: {method} {path} was not answered: {type(error).__name__}")
            return None
        if not answer.is_success:
            self._remark(f"{self._actor}: {method} {path} was refused with {answer.status_code}: {answer.text[:200]}")
            return None
        found: dict[str, Any] = answer.json()
        return found

    def _follow(self, job_id: str) -> None:
        if job_id not in self._readers:
            self._readers[job_id] = asyncio.create_task(self._read(job_id), name=f"{self._actor} follows {job_id}")

    async def _read(self, job_id: str) -> None:
        """Tell the facts of one job until its stream ends. A stream that breaks off is taken up where it broke."""
        last = ""
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            try:
                url = f"{self._jobs_url}/{job_id}/progress"
                async with httpx_sse.aconnect_sse(self._client, "GET", url, headers=headers, timeout=None) as source:
                    if source.response.status_code != httpx.codes.OK:
                        self._remark(f"{self._actor}: the stream of {job_id} ended: {source.response.status_code}")
                        return
                    async for event in source.aiter_sse():
                        last = event.id or last
                        if event.data and self._heard(event.event, msgspec.json.decode(event.data)):
                            return
            except httpx.ConnectError as error:
                self._remark(f"{self._actor}: the stream of {job_id} cannot be taken up: {error}")
                return
            except (httpx.HTTPError, httpx_sse.SSEError):
                continue

    def _heard(self, kind: str, data: Any) -> bool:
        """Tell an event's fact; true where it was the job's end."""
        if kind == "gap":
            self._remark(f"{self._actor} was told of a gap: {data}")
        fact = fact_of_event(data)
        if fact is not None:
            self._tell(contracted(fact))
        return kind in _ENDINGS

    def _tell(self, fact: Fact) -> None:
        self._arrived(Receive(at=self._clock(), actor=self._actor, message=fact))

    async def close(self, code: int) -> None:  # noqa: ARG002 - as every connection has it
        """Stop reading."""
        await self.drop()

    async def drop(self) -> None:
        """Stop reading."""
        tasks = [*self._readers.values(), *self._asking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._readers.clear()
        self._asking.clear()
