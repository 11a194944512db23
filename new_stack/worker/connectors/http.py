"""What the connectors that speak HTTP have in common: a session, bounded answers, errors as sentences."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec

from new_stack.settings import SettingsError
from new_stack.worker.connectors.connector import ConnectorSettings, JobContext, JobFailed

WORTH_ANOTHER_TRY: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same request may succeed later."""

STOP_S: Final = 5.0
"""How long a back end may take to be told that a job is stopped."""

ERROR_EXCERPT: Final = 500
"""How much of an error answer's text goes into the job's error, in characters."""


class HttpSettings(ConnectorSettings, frozen=True, kw_only=True):
    """Where a back end is and how patient to be with it."""

    url: str
    connect_timeout_s: float = 10
    timeout_s: float = 300
    """How long one request may take."""
    authorization: str = ""
    """Sent as the Authorization header."""
    max_response_bytes: int = 10_000_000
    """An answer larger than this fails the job."""


class Answer(msgspec.Struct, frozen=True):
    """What a back end answered."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises JobFailed where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise JobFailed(f"the back end's answer is not JSON: {error}") from error

    def content(self) -> Any:
        """The body as it best goes into a result: JSON, text, or base64 with its type."""
        if "json" in self.content_type:
            return self.json()
        if self.content_type.startswith("text/"):
            return {"text": self.body.decode("utf-8", "replace")}
        return {"content_type": self.content_type, "base64": base64.b64encode(self.body).decode()}


class Backend:
    """One back end over HTTP. Every failure is a JobFailed that says what happened and whether to try again."""

    def __init__(self, settings: HttpSettings) -> None:
        if not settings.url.startswith(("http://", "https://")):
            raise SettingsError(f"the url of a back end begins with http:// or https://, unlike {settings.url!r}")
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session; no request is made."""
        settings = self._settings
        self._session = aiohttp.ClientSession(
            headers={"Authorization": settings.authorization} if settings.authorization else {},
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=settings.connect_timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        if self._session is None:
            raise RuntimeError("the connector was not opened")
        return self._session

    async def call(
        self, method: str, url: str, *, body: Any = None, headers: dict[str, str] | None = None, timeout_s: float = 0
    ) -> Answer:
        """One request; answers with a status below 400. Raises JobFailed for everything else."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        timeout = aiohttp.ClientTimeout(total=timeout_s) if timeout_s else self.session.timeout
        try:
            async with self.session.request(
                method,
                url,
                data=msgspec.json.encode(body) if body is not None else None,
                headers=sent | (headers or {}),
                timeout=timeout,
            ) as response:
                answer = Answer(response.status, response.content_type, await self._read(response))
        except TimeoutError as error:
            raise JobFailed(f"{method} {url}: no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise JobFailed(f"{method} {url}: {_said(error)}") from error
        if answer.status >= 400:
            raise refusal(method, url, answer)
        return answer

    async def tell(self, method: str, url: str, *, body: Any = None) -> None:
        """A request whose failure changes nothing: the job is stopped whether the back end hears of it or not."""
        with suppress(JobFailed):
            await self.call(method, url, body=body, timeout_s=STOP_S)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self._settings.max_response_bytes
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise JobFailed(f"the back end's answer is larger than {limit} bytes", retryable=False)
        return bytes(body)


class Refused(JobFailed):
    """The back end answered with an error; `answer` is what it said."""

    def __init__(self, error: str, *, retryable: bool, answer: Answer) -> None:
        super().__init__(error, retryable=retryable)
        self.answer = answer


def refusal(method: str, url: str, answer: Answer) -> Refused:
    """An error status as a failure: the server's own errors and "not now" are worth another try, others not."""
    said = answer.body[: ERROR_EXCERPT * 4].decode("utf-8", "replace").strip()[:ERROR_EXCERPT]
    retryable = answer.status >= 500 or answer.status in WORTH_ANOTHER_TRY
    return Refused(f"{method} {url} was answered {answer.status}: {said}", retryable=retryable, answer=answer)


async def through(call: Awaitable[str], undo: Callable[[str], Awaitable[None]]) -> str:
    """A call that starts something, and its id. Cancelled half-way, it is seen through and what it started undone:
    else the back end would go on with a job that nobody knows of.
    """
    running = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running], timeout=STOP_S)
        if running.done() and not running.cancelled() and running.exception() is None:
            await undo(running.result())
        running.cancel()
        raise


def fill(url: str, job: JobContext, **more: str) -> str:
    """Put the job's `{job_id}` and `{service}`, and others given, in their places in a URL."""
    for name, value in {"job_id": job.job_id, "service": job.service, **more}.items():
        url = url.replace("{" + name + "}", quote(value, safe=""))
    return url


def job_headers(job: JobContext) -> dict[str, str]:
    """What lets a back end tell a second attempt from a second job."""
    return {"X-Job-Id": job.job_id, "X-Job-Attempt": str(job.attempt), "Idempotency-Key": job.job_id}


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
