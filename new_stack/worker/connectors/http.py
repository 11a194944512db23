"""What connectors that call a back end share: a session, requests with bounded answers, one way to open a WebSocket,
and starting remote work that is stopped with its job."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar, Final
from urllib.parse import quote

import aiohttp
import msgspec

from new_stack.settings import SettingsError
from new_stack.worker.connectors import Connector, ConnectorSettings, JobContext, JobFailed

RETRYABLE_STATUSES: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same request may succeed later."""

STOP_S: Final = 5.0
"""How long telling a back end to stop a job may take."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")

ERROR_EXCERPT: Final = 500
"""How much of an error answer's text goes into the job's error, in characters."""


class BackendSettings(ConnectorSettings, frozen=True, kw_only=True):
    """Where a back end is."""

    url: str
    connect_timeout_s: float = 10
    authorization: str = ""
    """Sent as the Authorization header."""


class HttpSettings(BackendSettings, frozen=True, kw_only=True):
    """How long to wait for an HTTP back end, and how much of its answers to take."""

    timeout_s: float = 300
    """How long one request may take."""
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


class RequestRefused(JobFailed):
    """The back end answered with an error status; its own errors and "not now" are worth another try, others not."""

    def __init__(self, method: str, url: str, answer: Answer) -> None:
        text = answer.body[: ERROR_EXCERPT * 4].decode("utf-8", "replace").strip()[:ERROR_EXCERPT]
        retryable = answer.status >= 500 or answer.status in RETRYABLE_STATUSES
        super().__init__(f"{method} {url} was answered {answer.status}: {text}", retryable=retryable)
        self.answer = answer


class BackendConnector(Connector):
    """A connector with a session to its back end; no connection is made before the first job."""

    schemes: ClassVar[tuple[str, ...]] = ("http://", "https://")

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        if not settings.url.startswith(self.schemes):
            raise SettingsError(f"the url must begin with {' or '.join(self.schemes)}, unlike {settings.url!r}")
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session."""
        authorization = self.settings.authorization
        self._session = aiohttp.ClientSession(
            headers={"Authorization": authorization} if authorization else {},
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

    async def open_websocket(
        self, url: str, *, ping_s: float, max_message_bytes: int
    ) -> aiohttp.ClientWebSocketResponse:
        """Connect a WebSocket within the connect time-out. Raises JobFailed."""
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s):
                return await self.session.ws_connect(url, heartbeat=ping_s, max_msg_size=max_message_bytes)
        except TimeoutError as error:
            raise JobFailed(f"{url}: no connection within {self.settings.connect_timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise JobFailed(f"{url}: {error_text(error)}") from error


class HttpConnector(BackendConnector):
    """A connector that sends HTTP requests. Every failure is a JobFailed with the reason and whether to try again."""

    async def call(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 0,
        job: JobContext | None = None,
    ) -> Answer:
        """Send one request; returns an answer with a status below 400. Raises JobFailed for everything else.

        With `job` monitors are told of it: of what starts work, not of each question how far it is.
        """
        if job is not None:
            job.asks(method, url, body)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        settings = self.settings
        try:
            async with self.session.request(
                method,
                url,
                data=msgspec.json.encode(body) if body is not None else None,
                headers=sent | (headers or {}),
                timeout=aiohttp.ClientTimeout(timeout_s or settings.timeout_s, sock_connect=settings.connect_timeout_s),
            ) as response:
                answer = Answer(response.status, response.content_type, await self._body(response))
        except TimeoutError as error:
            raise JobFailed(f"{method} {url}: no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise JobFailed(f"{method} {url}: {error_text(error)}") from error
        if answer.status >= 400:
            raise RequestRefused(method, url, answer)
        return answer

    async def notify(self, method: str, url: str, *, body: Any = None) -> None:
        """Send a request whose failure changes nothing: the job is stopped whether or not the back end learns it."""
        with suppress(JobFailed):
            await self.call(method, url, body=body, timeout_s=STOP_S)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self.settings.max_response_bytes
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise JobFailed(f"the back end's answer is larger than {limit} bytes", retryable=False)
        return bytes(body)


async def run_remote(
    start: Awaitable[str], follow: Callable[[str], Awaitable[Any]], stop: Callable[[str], Awaitable[None]]
) -> Any:
    """Start work on a back end and follow it, by the id that `start` returns, to its result.

    Where the job is stopped, so is the remote work. A start that is under way then is awaited first: else the back end
    would go on with work that nobody knows of.
    """
    starting = asyncio.ensure_future(start)
    try:
        return await follow(await asyncio.shield(starting))
    except asyncio.CancelledError:
        await asyncio.wait([starting], timeout=STOP_S)
        if starting.done() and not starting.cancelled() and starting.exception() is None:
            await stop(starting.result())
        starting.cancel()
        raise


def fill(template: str, job: JobContext, **more: str) -> str:
    """Put the job's `{job_id}` and `{service}`, and others given, in their places in a URL, each as one segment.

    Raises JobFailed for `.` and `..`: even escaped, a URL with one of them means another address.
    """
    values = {"job_id": job.job_id, "service": job.service, **more}

    def escaped(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if value is None:
            return match[0]
        if value in {".", ".."}:
            raise JobFailed(f"{match[1]} is {value!r}, which cannot be part of a URL", retryable=False)
        return quote(value, safe="")

    return _PLACEHOLDER.sub(escaped, template)


def job_headers(job: JobContext) -> dict[str, str]:
    """What lets a back end tell a second attempt from a second job."""
    return {"X-Job-Id": job.job_id, "X-Job-Attempt": str(job.attempt), "Idempotency-Key": job.job_id}


def error_text(error: BaseException) -> str:
    """What an error says, or its kind where it says nothing."""
    return str(error) or type(error).__name__
