"""The client over HTTP: requests with their errors, and a job's stream as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from new_stack.client.errors import (
    ClientError,
    Conflict,
    NotServed,
    RequestRefused,
    ServerUnavailable,
    UnknownJob,
)
from new_stack.client.event_stream import Cursor, follow
from new_stack.client.timeouts import Retry, Timeouts, connection_errors
from new_stack.client.types import Accepted, Gap, JobEvent, JobOrder, JobPage, JobStatus

TEMPORARY: Final = frozenset({429, 502, 503, 504})
MISSING_ROUTE: Final = frozenset({405, 406, 415, 501})

Struct = TypeVar("Struct", bound=msgspec.Struct)


class HttpTransport:
    """Uses the modern routes, `/api/jobs` and below."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, timeouts: Timeouts, *, has_alternative: bool = False
    ) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._timeouts = timeouts
        self._stream_unproven = has_alternative
        """Whether a stream of which nothing arrives counts as one that is not served: a proxy holds it back."""

    async def served(self) -> bool:
        """Whether a server with the modern routes answers here. Raises ServerUnavailable where nothing answers."""
        with connection_errors(f"{self._url} cannot be reached"):
            async with self._session.get(f"{self._url}/health/live") as response:
                return response.status == 200 and response.content_type == "application/json"

    async def submit(self, order: JobOrder) -> Accepted:
        """Safe to repeat: the id is in the order."""
        job = await self._request("POST", "/api/jobs", JobStatus, body=order.body())
        return Accepted(job_id=job.job_id, status=job.status, position=job.display_position)

    async def status(self, job_id: str) -> JobStatus:
        """The job's state."""
        return await self._request("GET", _path(job_id), JobStatus)

    async def cancel(self, job_id: str, reason: str) -> JobStatus:
        """End the job."""
        return await self._request("POST", f"{_path(job_id)}/cancel", JobStatus, body={"reason": reason})

    async def retry(self, job_id: str) -> JobStatus:
        """Queue the job again. Where only the answer to an earlier try was lost, that try counts."""
        tries = 0

        async def once() -> JobStatus:
            nonlocal tries
            tries += 1
            return await self._once("POST", f"{_path(job_id)}/retry", JobStatus)

        try:
            return await Retry(self._timeouts).run(once)
        except Conflict:
            status = await self.status(job_id)
            if tries > 1 and not status.ended:
                return status
            raise

    async def jobs(self, filters: dict[str, str]) -> JobPage:
        """One page."""
        return await self._request("GET", "/api/jobs", JobPage, query=filters)

    def follow(self, job_id: str, after: str | None) -> AsyncGenerator[JobEvent | Gap, None]:
        """The job's events to its end. Raises UnknownJob, NotServed where there is no stream, ServerUnavailable."""
        return follow(Cursor(job_id, after), self._stream, self._timeouts)

    async def _request(self, method: str, path: str, kind: type[Struct], **more: Any) -> Struct:
        """A request, repeated while the server is away or cannot serve now, until the retry budget is used up."""
        return await Retry(self._timeouts).run(lambda: self._once(method, path, kind, **more))

    async def _once(
        self, method: str, path: str, kind: type[Struct], *, body: Any = None, query: dict[str, str] | None = None
    ) -> Struct:
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        url = self._url + path
        with connection_errors(f"{method} {url}"):
            async with self._session.request(method, url, data=data, headers=headers, params=query) as response:
                answer = await response.read()
        _raise_if_temporary(answer, response)
        if response.status >= 400:
            raise _refusal(answer, response.status)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError as error:
            raise ClientError(f"the answer to {method} {url} is not a {kind.__name__}: {error}") from error

    async def _stream(self, cursor: Cursor) -> AsyncGenerator[bytes, None]:
        """The bytes of one connection."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor.after} if cursor.after else {})
        url = f"{self._url}{_path(cursor.job_id)}/progress"
        timeout = aiohttp.ClientTimeout(sock_connect=self._timeouts.connect_s, sock_read=self._timeouts.idle_timeout_s)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(connection_errors(f"the stream of job {cursor.job_id}"))
            try:
                async with asyncio.timeout(self._timeouts.connect_s):
                    response = await stack.enter_async_context(self._session.get(url, headers=headers, timeout=timeout))
                    if response.status == 204:
                        cursor.ended = True
                        return
                    await _require_stream(response)
                    first = await response.content.readany()  # the server sends its first bytes at once
            except TimeoutError as error:
                if self._stream_unproven:
                    raise NotServed("nothing of the stream arrives: a proxy holds it back") from error
                raise
            self._stream_unproven = False
            yield first
            async for chunk in response.content.iter_any():
                yield chunk


async def _require_stream(response: aiohttp.ClientResponse) -> None:
    if response.status in MISSING_ROUTE or (response.status == 404 and "problem" not in response.content_type):
        raise NotServed("this server has no stream of a job's events")
    if response.status != 200:
        answer = await response.read()
        _raise_if_temporary(answer, response)
        raise _refusal(answer, response.status)
    if response.content_type != "text/event-stream":
        raise NotServed(f"this server answers with {response.content_type} instead of a stream of events")


class _Problem(msgspec.Struct):
    """The parts of a problem document that the client shows."""

    title: str = ""
    detail: Any = ""
    errors: list[dict[str, Any]] = []


def _problem(answer: bytes, status: int) -> tuple[str, tuple[dict[str, Any], ...]]:
    """The sentence and the bad fields of an answer that reports an error."""
    problem = _Problem()
    with contextlib.suppress(msgspec.MsgspecError):
        problem = msgspec.json.decode(answer, type=_Problem)
    sentence = str(problem.detail or problem.title) or f"the server answered with status {status}"
    return sentence, tuple(problem.errors)


def _raise_if_temporary(answer: bytes, response: aiohttp.ClientResponse) -> None:
    if response.status in TEMPORARY:
        wait = response.headers.get("Retry-After", "")
        retry_after_s = float(wait) if wait.isdigit() else 0.0
        raise ServerUnavailable(_problem(answer, response.status)[0], retry_after_s=retry_after_s)


def _refusal(answer: bytes, status: int) -> RequestRefused:
    sentence, fields = _problem(answer, status)
    kind = {404: UnknownJob, 409: Conflict}.get(status, RequestRefused)
    return kind(sentence, status=status, fields=fields)


def _path(job_id: str) -> str:
    if not job_id:
        raise UnknownJob("there is no such job: an id has at least one character")
    return f"/api/jobs/{quote(job_id, safe='')}"
