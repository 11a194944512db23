"""The client over a WebSocket: for servers whose HTTP cannot be reached or is an old hub's.

Replies of the old protocol name no request. So every question goes out on a connection of its own, on which nothing
else is said, and no reply can be taken for another's. Submissions share one connection, because an old hub tells of a
job only there; they go one at a time, and their reply names the job.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

import aiohttp

from new_stack.client import hub_words
from new_stack.client.errors import NotServed, ServerUnavailable, UnknownJob
from new_stack.client.hub_line import HubLine
from new_stack.client.patience import Patience
from new_stack.client.socket import Socket
from new_stack.client.sse import SseReader
from new_stack.client.stream import Cursor, Disconnected
from new_stack.client.words import Accepted, Gap, JobEvent, JobOrder, JobPage, JobStatus

Reply = TypeVar("Reply")


class WebSocketTransport:
    """Speaks to `/ws/client/{id}`."""

    def __init__(
        self, url: str, client_id: str, session: aiohttp.ClientSession, patience: Patience, token: str | None
    ) -> None:
        self._patience = patience

        def open_socket(name: str) -> Socket:
            return Socket(url, name, session, patience, token)

        self._open = open_socket
        self._client_id = client_id
        self._line = HubLine(lambda: open_socket(client_id), self.status, patience)
        self._streams: bool | None = None

    async def close(self) -> None:
        """Close the shared connection."""
        await self._line.close()

    async def served(self) -> bool:
        """Whether a server that knows these words answers here. Raises ServerUnavailable, RequestRefused."""
        async with self._open(f"{self._client_id}-{uuid.uuid4().hex[:8]}"):
            return True

    async def submit(self, order: JobOrder) -> Accepted:
        """Submit once. After a broken try, look whether the job is there: an old hub would take it a second time."""
        tried = False

        async def once() -> Accepted:
            nonlocal tried
            if tried:
                with contextlib.suppress(UnknownJob):
                    return Accepted(job_id=order.id, status=(await self._status(order.id)).status)
            tried = True
            return await self._line.submit(order)

        return await self._persist(once)

    async def status(self, job_id: str) -> JobStatus:
        """How the job stands."""
        return await self._persist(lambda: self._status(job_id))

    async def cancel(self, job_id: str, reason: str) -> JobStatus:
        """End the job."""
        return await self._persist(lambda: self._ask({"type": "cancel_job", "job_id": job_id, "reason": reason}))

    async def retry(self, job_id: str) -> JobStatus:
        """Put the job back in the line."""
        return await self._persist(lambda: self._ask({"type": "force_retry_job", "job_id": job_id}))

    async def jobs(self, filters: dict[str, str]) -> JobPage:
        """The protocol has no listing."""
        raise NotServed(f"a WebSocket has no listing of jobs (asked for {filters or 'all'}): use HTTP")

    async def follow(self, job_id: str, after: str | None) -> AsyncGenerator[JobEvent | Gap, None]:
        """The job's events to its end: our server's own stream where there is one, else what the hub's words tell."""
        if self._streams is not False:
            try:
                async with contextlib.aclosing(self._follow_stream(Cursor(job_id, after))) as events:
                    async for event in events:
                        yield event
                    return
            except NotServed:
                self._streams = False
        async with contextlib.aclosing(self._line.follow(job_id)) as events:
            async for event in events:
                yield event

    async def _follow_stream(self, cursor: Cursor) -> AsyncGenerator[JobEvent | Gap, None]:
        """Raises NotServed where the server does not know of streams."""
        attempt = self._patience.begin()
        while True:
            try:
                async with contextlib.aclosing(self._stream(cursor)) as events:
                    async for event in events:
                        attempt.succeeded()
                        yield event
                if cursor.ended:
                    return
                error = ServerUnavailable(f"the stream of job {cursor.job_id} ended before the job did")
            except Disconnected as told:
                error = ServerUnavailable(str(told))
            except ServerUnavailable as told:
                error = told
            await attempt.pause_or_raise(error)

    async def _stream(self, cursor: Cursor) -> AsyncGenerator[JobEvent | Gap, None]:
        """One connection's part of the stream; each message carries a piece of the text that SSE would."""
        reader = SseReader()
        async with self._open(f"{self._client_id}-{uuid.uuid4().hex[:8]}") as socket:
            await socket.send({"type": "follow_job", "job_id": cursor.job_id, "after": cursor.after})
            while not cursor.ended:
                try:
                    async with asyncio.timeout(self._patience.silence_s):
                        message = await socket.receive()
                except TimeoutError as error:
                    raise ServerUnavailable("the stream is silent") from error
                match message["type"]:
                    case "job_stream":
                        self._streams = True
                        for told in reader.feed(str(message.get("text", "")).encode()):
                            event = cursor.take(told)
                            if event is not None:
                                yield event
                    case "job_stream_end":
                        cursor.ended = cursor.ended or message.get("over") is True
                        return
                    case "error":
                        refused = hub_words.refusal(message)
                        if "Unsupported message type" in str(refused):
                            raise NotServed("this server has no streams over WebSockets")
                        raise refused

    async def _status(self, job_id: str) -> JobStatus:
        return await self._ask({"type": "request_job_status", "job_id": job_id})

    async def _ask(self, message: hub_words.Message) -> JobStatus:
        """One question on a connection of its own."""
        async with self._open(f"{self._client_id}-{uuid.uuid4().hex[:8]}") as socket:
            await socket.send(message)
            try:
                async with asyncio.timeout(self._patience.request_s):
                    answer = await socket.receive()
            except TimeoutError as error:
                raise ServerUnavailable(f"no answer to {message['type']} in time") from error
        if answer["type"] == "error":
            raise hub_words.refusal(answer)
        return hub_words.status(answer)

    async def _persist(self, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        attempt = self._patience.begin()
        while True:
            try:
                return await ask()
            except ServerUnavailable as error:
                await attempt.pause_or_raise(error)
