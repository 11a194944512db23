"""`HybridClient`: jobs over HTTP and SSE, over a WebSocket where that fails, the same words either way."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import msgspec

from new_stack.client.errors import ClientError, NotServed, ServerUnavailable, WaitedTooLong
from new_stack.client.http import HttpTransport
from new_stack.client.patience import Patience
from new_stack.client.websocket import WebSocketTransport
from new_stack.client.words import Accepted, Gap, JobEvent, JobOrder, JobPage, JobStatus
from new_stack.queue.jobs import JobState

Mode = Literal["auto", "http", "websocket"]


class HybridClient:
    """A client of one server, to be used as `async with HybridClient(url) as client`.

    `mode` "auto" asks once whether the server has the modern routes, and goes over to the WebSocket where it has not,
    or where only a WebSocket gets through. Any number of requests may be in flight at once.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        client_id: str | None = None,
        mode: Mode = "auto",
        patience: Patience | None = None,
    ) -> None:
        if mode not in {"auto", "http", "websocket"}:
            raise ValueError(f"mode is auto, http or websocket, not {mode!r}")
        self._url = url
        self._token = token
        self.client_id = client_id or f"client-{uuid.uuid4().hex[:12]}"
        self._mode: Mode = mode
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None
        self._http: HttpTransport | None = None
        self._socket: WebSocketTransport | None = None
        self._choosing = asyncio.Lock()
        self._chosen: HttpTransport | WebSocketTransport | None = None

    async def __aenter__(self) -> Self:
        """Open; nothing is sent yet."""
        patience = self._patience
        timeout = aiohttp.ClientTimeout(total=patience.request_s, sock_connect=patience.connect_s)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector)
        self._http = HttpTransport(self._url, self._session, patience, has_alternative=self._mode == "auto")
        self._socket = WebSocketTransport(self._url, self.client_id, self._session, patience, self._token)
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
        """What it speaks: `http`, `websocket`, or None while that is not known yet."""
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
    ) -> Accepted:
        """Submit a job. The client chooses its id, so a request repeated after a broken connection is the same job.

        Raises RequestRefused, Conflict (another job has the id), ServerUnavailable.
        """
        order = JobOrder(
            id=job_id or str(uuid.uuid4()),
            service_required=service,
            payload=payload or {},
            priority=priority,
            client_id=self.client_id,
            max_retries=max_retries,
        )
        return await (await self._choose()).submit(order)

    async def status(self, job_id: str) -> JobStatus:
        """How a job stands. Raises UnknownJob."""
        return await (await self._choose()).status(job_id)

    async def cancel(self, job_id: str, reason: str = "Manually cancelled") -> JobStatus:
        """End a job, waiting or running. Raises UnknownJob, Conflict (it has completed or failed)."""
        return await (await self._choose()).cancel(job_id, reason)

    async def retry(self, job_id: str) -> JobStatus:
        """Put a failed or cancelled job back in the line. Raises UnknownJob, Conflict."""
        return await (await self._choose()).retry(job_id)

    async def jobs(
        self,
        *,
        status: JobState | str | None = None,
        service: str | None = None,
        worker_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """A page of jobs, newest first. Raises NotServed over a WebSocket."""
        asked = {"status": status, "service": service, "worker_id": worker_id, "limit": str(limit), "cursor": cursor}
        return await (await self._choose()).jobs({name: str(value) for name, value in asked.items() if value})

    async def follow(self, job_id: str, *, after: str | None = None) -> AsyncGenerator[JobEvent | Gap, None]:
        """Everything that happens to a job, from its beginning (or after an event's id) to its end.

        A broken connection is taken up again where it broke. Where events are missing all the same, a Gap says so.
        Raises UnknownJob, and ServerUnavailable once the server stays away too long.
        """
        transport = await self._choose()
        cursor = after
        try:
            async with contextlib.aclosing(transport.follow(job_id, cursor)) as events:
                async for event in events:
                    yield event
                    cursor = event.id if isinstance(event, JobEvent) and event.id else cursor
                return
        except NotServed:
            if self._mode != "auto" or transport is self._socket or self._socket is None:
                raise
        async with contextlib.aclosing(self._socket.follow(job_id, cursor)) as events:
            async for event in events:
                yield event

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobStatus:
        """How the job stands once it has ended, result and all. Raises WaitedTooLong; the job goes on."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._wait(job_id)
        except TimeoutError as error:
            if isinstance(error, ClientError):
                raise
            raise WaitedTooLong(f"job {job_id} has not ended within {timeout_s} s") from error

    async def _wait(self, job_id: str) -> JobStatus:
        ending: JobEvent | None = None
        async with contextlib.aclosing(self.follow(job_id)) as events:
            async for event in events:
                if isinstance(event, JobEvent) and event.ending:
                    ending = event
        status = await self.status(job_id)
        if status.error is None and ending is not None and ending.error is not None:
            status = msgspec.structs.replace(status, error=ending.error)
        return status

    async def _choose(self) -> HttpTransport | WebSocketTransport:
        if self._chosen is None:
            async with self._choosing:
                if self._chosen is None:
                    self._chosen = await self._probe()
        return self._chosen

    async def _probe(self) -> HttpTransport | WebSocketTransport:
        if self._http is None or self._socket is None:
            raise RuntimeError("use the client as `async with HybridClient(…) as client`")
        attempt = self._patience.begin()
        while True:
            unavailable: ServerUnavailable | None = None
            try:
                if await self._http.served():
                    return self._http
            except ServerUnavailable as error:
                unavailable = error
            try:
                if await self._socket.served():
                    return self._socket
            except ServerUnavailable as error:
                unavailable = unavailable or error
            await attempt.pause_or_raise(unavailable or ServerUnavailable(f"{self._url} serves neither"))
