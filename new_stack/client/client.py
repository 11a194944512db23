"""`HybridClient`: jobs over HTTP and SSE, over a WebSocket where that fails."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Literal, Required, Self, TypedDict, TypeVar, Unpack, overload
from urllib.parse import urlsplit

import aiohttp
import msgspec

from new_stack import __version__
from new_stack.client.errors import ClientError, NotServed, Retired, ServerUnavailable, WaitTimeout
from new_stack.client.http import HttpTransport
from new_stack.client.timeouts import Retry, Timeouts
from new_stack.client.types import (
    Accepted,
    Deprecation,
    Gap,
    JobEvent,
    JobOrder,
    JobPage,
    JobState,
    JobStatus,
    OwnFields,
)
from new_stack.client.websocket import WebSocketTransport
from new_stack.failure import JobFailed

Mode = Literal["auto", "http", "websocket"]
Transport = HttpTransport | WebSocketTransport
AT_ONCE: Final = 32
"""Requests of `submit_many` in flight, and events of `follow_many` that nobody has taken yet."""
LOOK_AGAIN_S: Final = 30.0
Result = TypeVar("Result")


class Options(TypedDict, total=False):
    """The options of a client."""

    token: str | None
    client_id: str | None
    mode: Mode
    timeout: float | None
    timeouts: Timeouts | None


class Wanted(TypedDict, total=False):
    """A job for `submit_many`: what `submit` takes, as a task's `job(…)` gives it."""

    service: Required[str]
    payload: dict[str, Any]
    priority: int
    job_id: str
    max_retries: int


class HybridClient:
    """A client of one server, to be used as `async with HybridClient(url) as client`.

    `mode` "auto" asks once whether the server has the modern routes, and uses the WebSocket where it has not, or where
    only a WebSocket gets through. Any number of requests may be in flight at once. `timeout`, in seconds, is how long
    one request may take, repetitions included; `timeouts` has every limit by itself.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        client_id: str | None = None,
        mode: Mode = "auto",
        timeout: float | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        if mode not in {"auto", "http", "websocket"}:
            raise ValueError(f"mode is auto, http or websocket, not {mode!r}")
        self._url = _checked(url)
        self._token = token
        self.client_id = client_id or f"client-{uuid.uuid4().hex[:12]}"
        self._mode: Mode = mode
        self._timeouts = timeouts or Timeouts()
        if timeout is not None:
            self._timeouts = msgspec.structs.replace(self._timeouts, request_s=timeout, retry_budget_s=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._http: HttpTransport | None = None
        self._socket: WebSocketTransport | None = None
        self._choosing = asyncio.Lock()
        self._chosen: Transport | None = None
        self.deprecation: Deprecation | None = None
        """The server's notice that the hub's WebSocket goes, once one has come over it."""
        self._look_again_at = 0.0

    async def __aenter__(self) -> Self:
        """Open; nothing is sent yet."""
        timeouts = self._timeouts
        timeout = aiohttp.ClientTimeout(total=timeouts.request_s, sock_connect=timeouts.connect_s)
        headers = {"User-Agent": f"hubgate-client/{__version__}", "Hubgate-Client": self.client_id}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector)
        self._http = HttpTransport(self._url, self._session, timeouts, has_alternative=self._mode == "auto")
        self._socket = WebSocketTransport(
            self._url,
            self.client_id,
            self._session,
            timeouts,
            self._token,
            on_notice=self._take_notice,
            has_alternative=self._mode == "auto",
        )
        if self._mode != "auto":
            self._chosen = self._http if self._mode == "http" else self._socket
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()

    @property
    def transport(self) -> str | None:
        """The protocol in use: `http`, `websocket`, or None before the first request."""
        if self._chosen is None:
            return None
        return "http" if self._chosen is self._http else "websocket"

    async def submit(
        self,
        service: str,
        payload: dict[str, Any] | None = None,
        *,
        priority: int = 0,
        job_id: str | None = None,
        max_retries: int | None = None,
        extra: dict[str, Any] | None = None,
        **fields: Unpack[OwnFields],
    ) -> Accepted:
        """Submit a job. The client chooses its id, so a request repeated after a broken connection is the same job.

        What else you say of it (`requirements`, `customer_id`, `workflow_id` …, or any other name in `extra`) is kept
        with the job, shown, and given to the connector.
        Raises RequestRefused, Conflict (another job has the id), ServerUnavailable.
        """
        order = JobOrder(
            id=job_id or str(uuid.uuid4()),
            service_required=service,
            payload=payload or {},
            priority=priority,
            client_id=self.client_id,
            max_retries=max_retries,
            own={**(extra or {}), **fields},
        )
        order.check()
        return await self._call(lambda transport: transport.submit(order))

    async def status(self, job_id: str) -> JobStatus:
        """The state of a job. Raises UnknownJob."""
        return await self._call(lambda transport: transport.status(job_id))

    async def cancel(self, job_id: str, reason: str = "Manually cancelled") -> JobStatus:
        """End a job, pending or running. Raises UnknownJob, Conflict (it has completed or failed)."""
        return await self._call(lambda transport: transport.cancel(job_id, reason))

    async def retry(self, job_id: str) -> JobStatus:
        """Queue a failed or cancelled job again. Raises UnknownJob, Conflict."""
        return await self._call(lambda transport: transport.retry(job_id))

    async def jobs(
        self,
        *,
        status: JobState | str | None = None,
        service: str | None = None,
        worker_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """A page of jobs, newest first, without their payloads and results. Raises NotServed over a WebSocket."""
        asked = {"status": status, "service": service, "worker_id": worker_id, "limit": str(limit), "cursor": cursor}
        filters = {name: str(value) for name, value in asked.items() if value}
        return await self._call(lambda transport: transport.jobs(filters))

    async def follow(self, job_id: str, *, after: str | None = None) -> AsyncGenerator[JobEvent | Gap, None]:
        """Everything that happens to a job, from its beginning (or after an event's id) to its end.

        A broken connection is resumed from the last event. Where events are missing all the same, a Gap says so.
        Raises UnknownJob, and ServerUnavailable once the retry budget is used up.
        """
        transport = await self._choose()
        cursor, retry = after, Retry(self._timeouts)
        tried_http = transport is self._http
        while True:
            try:
                async with contextlib.aclosing(transport.follow(job_id, cursor)) as events:
                    async for event in events:
                        yield event
                        cursor = event.id if isinstance(event, JobEvent) and event.id else cursor
                    return
            except Retired as error:
                if tried_http:  # its streams do not arrive, or the WebSocket would not be in use
                    await retry.pause_or_raise(ServerUnavailable(str(error)))
                transport, tried_http = await self._move_to_http(), True
            except NotServed:
                if self._mode != "auto" or transport is self._socket or self._socket is None:
                    raise
                transport = self._socket

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobStatus:
        """The job's state once it has ended, with its result. Raises WaitTimeout; the job goes on."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._wait(job_id)
        except TimeoutError as error:
            if isinstance(error, ClientError):
                raise
            raise WaitTimeout(f"job {job_id} has not ended within {timeout_s} s") from error

    @overload
    async def result(self, job_id: str, *, timeout_s: float | None = None) -> Any: ...

    @overload
    async def result(self, job_id: str, kind: type[Result], *, timeout_s: float | None = None) -> Result: ...

    async def result(self, job_id: str, kind: Any = Any, *, timeout_s: float | None = None) -> Any:
        """What the job results in, as a `kind` (a dataclass, a msgspec struct, …) where one is given.

        Raises JobFailed where it failed or was cancelled, msgspec.ValidationError for a result that is no `kind`,
        WaitTimeout.
        """
        job = await self.wait(job_id, timeout_s=timeout_s)
        if not job.ok:
            error = job.error or job.cancel_reason or job.status.value
            raise JobFailed(error, retryable=False, job_id=job_id, attempts=job.attempt or 0)
        return msgspec.convert(job.result, kind, strict=False)

    async def gather(self, *job_ids: str, timeout_s: float | None = None) -> list[Any]:
        """The results of several jobs, in the order given. Raises what `result` raises, of the first that fails."""
        async with _first_error(), asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.result(job_id, timeout_s=timeout_s)) for job_id in job_ids]
        return [task.result() for task in tasks]

    async def submit_many(self, jobs: Iterable[Wanted]) -> list[Accepted]:
        """Submit several jobs, some at once; the answers are in their order. Raises what `submit` raises.

        Where one is refused, those before it in time have been submitted: choose the ids yourself to repeat safely.
        """
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(job: Wanted) -> Accepted:
            async with slots:
                return await self.submit(**job)

        async with _first_error(), asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(job)) for job in jobs]
        return [task.result() for task in tasks]

    async def follow_many(self, *job_ids: str) -> AsyncGenerator[JobEvent | Gap, None]:
        """What happens to several jobs, as it comes, until all have ended. Raises what `follow` raises."""
        events: asyncio.Queue[JobEvent | Gap | Exception | None] = asyncio.Queue(AT_ONCE)

        async def one(job_id: str) -> None:
            try:
                async with contextlib.aclosing(self.follow(job_id)) as following:
                    async for event in following:
                        await events.put(event)
            except Exception as error:  # noqa: BLE001 - whoever follows is told
                await events.put(error)
            await events.put(None)

        tasks = [asyncio.create_task(one(job_id)) for job_id in job_ids]
        left = len(tasks)
        try:
            while left:
                event = await events.get()
                if isinstance(event, Exception):
                    raise event
                left -= event is None
                if event is not None:
                    yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, job_id: str) -> JobStatus:
        cursor: str | None = None
        while True:
            end: JobEvent | None = None
            async with contextlib.aclosing(self.follow(job_id, after=cursor)) as events:
                async for event in events:
                    if isinstance(event, JobEvent):
                        cursor = event.id or cursor
                        end = event if event.ending else None
            job = await self.status(job_id)
            if job.ended:
                error = end.error if end is not None and end.kind.value == job.status.value else None
                return msgspec.structs.replace(job, error=job.error or error)
            # The end that was read was followed by a retry: the job runs again.

    async def _call(self, request: Callable[[Transport], Awaitable[Result]]) -> Result:
        """A request that is safe to repeat; over HTTP where the WebSocket is not served any more."""
        try:
            return await request(await self._choose())
        except Retired:
            return await request(await self._move_to_http())

    async def _choose(self) -> Transport:
        if self._chosen is None:
            async with self._choosing:
                if self._chosen is None:
                    self._chosen = await Retry(self._timeouts).run(self._probe)
        if self._chosen is self._socket and self.deprecation is not None and self._mode == "auto":
            await self._prefer_http()
        return self._chosen

    def _take_notice(self, notice: object) -> None:
        with contextlib.suppress(msgspec.ValidationError):
            self.deprecation = msgspec.convert(notice, Deprecation)

    async def _prefer_http(self) -> None:
        """After a notice, look now and then whether HTTP gets through by now, and stay with it."""
        now = asyncio.get_running_loop().time()
        if self._http is not None and now >= self._look_again_at:
            self._look_again_at = now + LOOK_AGAIN_S
            with contextlib.suppress(ServerUnavailable):
                if await self._http.served():
                    self._chosen = self._http

    async def _move_to_http(self) -> Transport:
        return await Retry(self._timeouts).run(self._over_http)

    async def _over_http(self) -> Transport:
        if self._http is None or not await self._http.served():
            raise ServerUnavailable(f"{self._url} serves neither the hub's WebSocket now nor the modern routes")
        self._chosen = self._http
        return self._http

    async def _probe(self) -> Transport:
        if self._http is None or self._socket is None:
            raise RuntimeError("use the client as `async with HybridClient(…) as client`")
        unavailable: ServerUnavailable | None = None
        transports: tuple[Transport, ...] = (self._http, self._socket)
        for transport in transports:
            try:
                if await transport.served():
                    return transport
            except ServerUnavailable as error:
                unavailable = unavailable or error
        raise unavailable or ServerUnavailable(f"{self._url} has neither the modern routes nor the hub's WebSocket")


def _checked(url: str) -> str:
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname and parts.port != 0:
            return url
    raise ValueError(f"{url!r} is no URL of a server: it has to be http://HOST:PORT, or https, ws or wss")


@contextlib.asynccontextmanager
async def _first_error() -> AsyncGenerator[None, None]:
    """Raise the first error of a group by itself, as one request would."""
    try:
        yield
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
