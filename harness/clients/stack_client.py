"""A client of the new stack over asyncio: HTTP for what it wants, server-sent events for what happens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, Self

import httpx
import msgspec

from harness.clients.sessions import Clock, Observe, StackSession, StackStream, ignore
from harness.clients.transport import Answer, Http, Refused
from harness.protocols import HttpRequest, JobState, Submission, stack
from harness.protocols.sse import SseParser
from harness.tasks import called_off

ENDS: Final = frozenset({"completed", "failed", "cancelled"})
RETRY_S: Final = 0.1


class StreamEvent(msgspec.Struct, frozen=True):
    """One server-sent event, with the client's clock in ms."""

    at_ms: float
    id: str
    kind: str
    data: Any


class ModernClient:
    """One client, as an async context. With `patience_s` it repeats for so long what was not answered.

    A repetition is harmless where the job's id is the client's own.
    """

    def __init__(  # noqa: PLR0913 - what a client is made of
        self,
        http_url: str,
        name: str = "",
        *,
        service: str = "simulation",
        token: str | None = None,
        timeout_s: float = 10.0,
        patience_s: float = 0.0,
        observe: Observe = ignore,
        clock: Clock = time.time,
    ) -> None:
        self.name: Final = name
        self._service = service
        self._session = StackSession(name, token=token, observe=observe, clock=clock)
        self._http = Http(http_url, token=token, timeout_s=timeout_s)
        self._patience_s = patience_s
        self._following: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await called_off(*self._following)
        await self._http.close()

    async def submit(
        self,
        payload: Any = None,
        *,
        service: str | None = None,
        priority: int = 0,
        job_id: str | None = None,
        max_retries: int | None = None,
    ) -> str:
        """Submit a job and answer its id. Raises Refused."""
        job = Submission(
            service=service or self._service,
            payload=payload,
            priority=priority,
            job_id=job_id,
            max_retries=max_retries,
        )
        request = self._session.submit(job)
        answer = await self._answer(request)
        accepted = self._session.submitted(job, answer.status, answer.fields)
        if accepted is None:
            raise Refused(f"{request.method} {request.path}", answer)
        return accepted

    async def job(self, job_id: str) -> dict[str, Any]:
        """How the job stands. Raises Refused."""
        return await self._fields(self._session.ask(job_id))

    async def state(self, job_id: str) -> JobState:
        """The job's state, `unknown` where the server knows no such job. Raises Refused where the answer has none."""
        request = self._session.ask(job_id)
        answer = await self._answer(request)
        state = self._session.answered(job_id, answer.status, answer.fields)
        if state is None:
            raise Refused(f"{request.method} {request.path}", answer)
        return state

    async def cancel(self, job_id: str, reason: str | None = None) -> dict[str, Any]:
        """Cancel a job. Raises Refused, also where the job has ended first."""
        found = await self._fields(self._session.cancel(job_id, reason))
        self._session.cancelled(job_id)
        return found

    async def retry(self, job_id: str) -> dict[str, Any]:
        """Put an ended job back in the queue. Raises Refused."""
        return await self._fields(self._session.retry(job_id))

    async def events(self, path: str, *, last_event_id: str = "") -> AsyncGenerator[StreamEvent, None]:
        """All events of a stream, until the server ends it. Raises Refused."""
        parser = SseParser(last_event_id)
        with _until_over():
            async with self._http.stream(path, parser, parser.resume) as events:
                async for event in events:
                    data = event.json()
                    kind = data.get("kind") if isinstance(data, dict) else None
                    yield StreamEvent(time.monotonic() * 1000, event.id, str(kind or event.event), data)

    def follow(self, job_id: str, *, last_event_id: str = "") -> AsyncGenerator[StreamEvent, None]:
        """The events of one job, from its first or from the one behind that id, to its end."""
        return self.events(stack.subscribe(job_id).path, last_event_id=last_event_id)

    async def follow_to_end(self, job_id: str, *, cut_after: int | None = None) -> list[StreamEvent]:
        """All events of a job until its stream ends. With `cut_after` the connection is given up after so many events,
        again and again, and resumed with Last-Event-ID: nothing may be lost or come twice.
        """
        received: list[StreamEvent] = []
        while not received or received[-1].kind not in ENDS:
            before = len(received)
            last_id = received[-1].id if received else ""
            async with aclosing(self.follow(job_id, last_event_id=last_id)) as stream:
                async for event in stream:
                    received.append(event)
                    if cut_after is not None and len(received) - before >= cut_after:
                        break
                else:
                    break
        return received

    def follow_in_background(self, job_id: str) -> asyncio.Task[None]:
        """Follow a job to its end, through lost connections; what comes is observed. The task ends with the job."""
        task = asyncio.create_task(self._follow(self._session.follow(job_id)), name=f"{self.name} follows {job_id}")
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        return task

    async def _follow(self, stream: StackStream) -> None:
        while True:
            if await read_patiently(self._http, stream):
                return
            await asyncio.sleep(RETRY_S)

    async def _fields(self, request: HttpRequest) -> dict[str, Any]:
        answer = await self._answer(request)
        if not answer.ok:
            raise Refused(f"{request.method} {request.path}", answer)
        return answer.fields

    async def _answer(self, request: HttpRequest) -> Answer:
        """The answer, yes or no. Raises httpx.HTTPError once the patience is over."""
        limit = time.monotonic() + self._patience_s
        while True:
            late = time.monotonic() >= limit
            with _raised_if(late):
                answer = await self._http.send(request)
                if late or answer.status < httpx.codes.INTERNAL_SERVER_ERROR:
                    return answer
            await asyncio.sleep(RETRY_S)


async def read_once(http: Http, stream: StackStream, *, connected: Callable[[], object] = lambda: None) -> bool:
    """Read one connection of a stream; true where the server answers that there is nothing more, or the job has ended.

    The next connection goes on behind the last event. Raises Refused and httpx.HTTPError.
    """
    with _until_over():
        async with http.stream(stream.path, stream.parser, stream.connect()) as events:
            connected()
            async for event in events:
                stream.receive(event)
                if stream.ended:
                    return True
            return False
    return True


async def read_patiently(http: Http, stream: StackStream, *, connected: Callable[[], object] = lambda: None) -> bool:
    """`read_once` of a server that may be away or overloaded: false where the stream has to be read again."""
    with contextlib.suppress(Refused, httpx.HTTPError):
        return await read_once(http, stream, connected=connected)
    return False


@contextlib.contextmanager
def _until_over() -> Any:
    """204 means that a stream has nothing more: it ends as one that was read to its end."""
    try:
        yield
    except Refused as refusal:
        if refusal.status != stack.STREAM_OVER:
            raise


def _raised_if(late: bool) -> Any:  # noqa: FBT001 - one word, two ways
    return contextlib.nullcontext() if late else contextlib.suppress(httpx.TransportError)
