"""The client over HTTP: requests with their errors, and a job's stream with its resumption."""

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
from new_stack.client.patience import Patience
from new_stack.client.sse import SseReader
from new_stack.client.stream import Cursor, Disconnected
from new_stack.client.words import Accepted, Gap, JobEvent, JobOrder, JobPage, JobStatus

NOT_NOW: Final = frozenset({429, 502, 503, 504})
MISSING_ROUTE: Final = frozenset({405, 406, 415, 501})

Struct = TypeVar("Struct", bound=msgspec.Struct)


class HttpTransport:
    """Speaks to the modern routes."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, patience: Patience, *, has_alternative: bool = False
    ) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._patience = patience
        self._must_flow = has_alternative
        """Whether a stream of which nothing arrives counts as one that is not served: something holds it back."""

    async def served(self) -> bool:
        """Whether a server with the modern routes answers here. Raises ServerUnavailable where nothing answers."""
        try:
            async with self._session.get(f"{self._url}/health/live") as response:
                return response.status == 200 and response.content_type == "application/json"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServerUnavailable(f"{self._url} cannot be reached: {error or type(error).__name__}") from error

    async def submit(self, order: JobOrder) -> Accepted:
        """Safe to repeat: the id is in the order."""
        said = await self._ask("POST", "/api/jobs", JobStatus, body=order)
        return Accepted(job_id=said.job_id, status=said.status, position=said.display_position)

    async def status(self, job_id: str) -> JobStatus:
        """How the job stands."""
        return await self._ask("GET", _path(job_id), JobStatus)

    async def cancel(self, job_id: str, reason: str) -> JobStatus:
        """End the job."""
        return await self._ask("POST", f"{_path(job_id)}/cancel", JobStatus, body={"reason": reason})

    async def retry(self, job_id: str) -> JobStatus:
        """Put the job back in the line. Where only the answer to an earlier try was lost, that try counts."""
        try:
            return await self._ask("POST", f"{_path(job_id)}/retry", JobStatus)
        except Conflict as conflict:
            status = await self.status(job_id)
            if conflict.repeated and not status.ended:
                return status
            raise

    async def jobs(self, filters: dict[str, str]) -> JobPage:
        """One page."""
        return await self._ask("GET", "/api/jobs", JobPage, query=filters)

    async def _ask(
        self, method: str, path: str, kind: type[Struct], *, body: Any = None, query: dict[str, str] | None = None
    ) -> Struct:
        """One request, repeated while the server is not there or cannot serve now, within the time given."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        attempt = self._patience.begin()
        broken_before = False
        while True:
            try:
                url = self._url + path
                async with self._session.request(method, url, data=data, headers=headers, params=query) as response:
                    if response.status not in NOT_NOW:
                        return await _read(response, kind, repeated=broken_before)
                    error: Exception = ServerUnavailable(_sentence(await response.read(), response.status))
                    hint_s = _seconds(response.headers.get("Retry-After"))
            except (aiohttp.ClientError, OSError, TimeoutError) as broken:
                error, hint_s = ServerUnavailable(f"{method} {url}: {broken or type(broken).__name__}"), 0.0
                broken_before = True
            await attempt.pause_or_raise(error, hint_s)

    async def follow(self, job_id: str, after: str | None) -> AsyncGenerator[JobEvent | Gap, None]:
        """The job's events to its end, resumed after every break from the last one had.

        Raises UnknownJob, NotServed where there is no such stream, ServerUnavailable once it stays away too long.
        """
        cursor = Cursor(job_id, after)
        attempt = self._patience.begin()
        while True:
            error: Exception = ServerUnavailable(f"the stream of job {job_id} ended before the job did")
            reader = SseReader()
            try:
                async with contextlib.aclosing(self._stream(cursor, reader)) as events:
                    async for event in events:
                        attempt.succeeded()
                        yield event
                if cursor.ended:
                    return
            except Disconnected as told:
                error = ServerUnavailable(str(told))
            except (aiohttp.ClientError, OSError, TimeoutError) as broken:
                error = ServerUnavailable(f"the stream of job {job_id}: {broken or type(broken).__name__}")
            except ServerUnavailable as told:
                error = told
            await attempt.pause_or_raise(error, (reader.retry_ms or 0) / 1000)

    async def _stream(self, cursor: Cursor, reader: SseReader) -> AsyncGenerator[JobEvent | Gap, None]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor.after} if cursor.after else {})
        url = f"{self._url}{_path(cursor.job_id)}/progress"
        timeout = aiohttp.ClientTimeout(sock_connect=self._patience.connect_s, sock_read=self._patience.silence_s)
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience.connect_s):
                    response = await stack.enter_async_context(self._session.get(url, headers=headers, timeout=timeout))
                    if response.status == 204:
                        cursor.ended = True
                        return
                    await _require_stream(response)
                    first = await response.content.readany()  # the server speaks at once
            except TimeoutError as error:
                if self._must_flow:
                    raise NotServed("nothing of the stream arrives: something on the way holds it back") from error
                raise
            self._must_flow = False
            async for chunk in _after(first, response.content):
                for message in reader.feed(chunk):
                    event = cursor.take(message)
                    if event is not None:
                        yield event
                    if cursor.ended:
                        return


async def _after(first: bytes, rest: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    yield first
    async for chunk in rest.iter_any():
        yield chunk


async def _require_stream(response: aiohttp.ClientResponse) -> None:
    if response.status in NOT_NOW:
        raise ServerUnavailable(_sentence(await response.read(), response.status))
    if response.status in MISSING_ROUTE or (response.status == 404 and "problem" not in response.content_type):
        raise NotServed("this server has no stream of a job's events")
    if response.status != 200:
        raise _refusal(await response.read(), response.status)
    if response.content_type != "text/event-stream":
        raise NotServed(f"this server answers with {response.content_type} where a stream of events should be")


async def _read(response: aiohttp.ClientResponse, kind: type[Struct], *, repeated: bool) -> Struct:
    body = await response.read()
    if response.status >= 400:
        refusal = _refusal(body, response.status)
        refusal.repeated = repeated
        raise refusal
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ClientError(f"{response.url} answered with something else than a {kind.__name__}: {error}") from error


def _refusal(body: bytes, status: int) -> RequestRefused:
    fields: tuple[dict[str, Any], ...] = ()
    with contextlib.suppress(msgspec.MsgspecError):
        fields = tuple(msgspec.json.decode(body, type=_Problem).errors)
    kind = {404: UnknownJob, 409: Conflict}.get(status, RequestRefused)
    return kind(_sentence(body, status), status=status, fields=fields)


class _Problem(msgspec.Struct):
    """The parts of a problem document that a client shows."""

    title: str = ""
    detail: Any = ""
    errors: list[dict[str, Any]] = []


def _sentence(body: bytes, status: int) -> str:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        return f"the server answered with status {status}"
    return str(problem.detail or problem.title) or f"the server answered with status {status}"


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 0.0


def _path(job_id: str) -> str:
    return f"/api/jobs/{quote(job_id, safe='')}"
