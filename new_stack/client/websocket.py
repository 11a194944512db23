"""The client over a WebSocket: for servers whose HTTP cannot be reached or is an old hub's.

An old hub's replies do not name the request. So every request goes out on a connection of its own, on which nothing
else is sent, and no reply can be taken for another's. Submissions share one connection, because an old hub sends a
job's events only there; they go one at a time, and their reply names the job.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, Callable
from functools import partial

import aiohttp

from new_stack.client import legacy_messages
from new_stack.client.errors import NotServed, Retired, ServerUnavailable, UnknownJob
from new_stack.client.event_stream import Cursor, follow
from new_stack.client.legacy_connection import LegacyConnection, WebSocket
from new_stack.client.timeouts import Retry, Timeouts
from new_stack.client.types import Accepted, Gap, JobEvent, JobOrder, JobPage, JobStatus


class WebSocketTransport:
    """Uses `/ws/client/{id}`."""

    def __init__(
        self,
        url: str,
        client_id: str,
        session: aiohttp.ClientSession,
        timeouts: Timeouts,
        token: str | None,
        *,
        on_notice: Callable[[object], None],
        has_alternative: bool = False,
    ) -> None:
        self._timeouts = timeouts
        self._client_id = client_id
        gone = Retired if has_alternative else ServerUnavailable
        opened = partial(WebSocket, url, session=session, timeouts=timeouts, token=token)
        self._socket = partial(opened, gone=gone, on_notice=on_notice)
        self._shared = LegacyConnection(partial(self._socket, client_id=client_id), self.status, timeouts)
        self._has_streams: bool | None = None

    async def close(self) -> None:
        """Close the shared connection."""
        await self._shared.close()

    async def served(self) -> bool:
        """Whether a server with this protocol answers here. Raises ServerUnavailable, RequestRefused."""
        async with self._own_socket():
            return True

    async def submit(self, order: JobOrder) -> Accepted:
        """Submit once. After a broken try, look whether the job is there: an old hub would take it a second time."""
        tried = False

        async def once() -> Accepted:
            nonlocal tried
            if tried:
                with contextlib.suppress(UnknownJob):
                    return Accepted(job_id=order.id, status=(await self._once("request_job_status", order.id)).status)
            tried = True
            return await self._shared.submit(order)

        return await Retry(self._timeouts).run(once)

    async def status(self, job_id: str) -> JobStatus:
        """The job's state."""
        return await self._request("request_job_status", job_id)

    async def cancel(self, job_id: str, reason: str) -> JobStatus:
        """End the job."""
        return await self._request("cancel_job", job_id, reason=reason)

    async def retry(self, job_id: str) -> JobStatus:
        """Queue the job again."""
        return await self._request("force_retry_job", job_id)

    async def jobs(self, filters: dict[str, str]) -> JobPage:
        """The protocol has no listing."""
        raise NotServed(f"a WebSocket has no listing of jobs (asked for {filters or 'all'}): use HTTP")

    async def follow(self, job_id: str, after: str | None) -> AsyncGenerator[JobEvent | Gap, None]:
        """The job's events to its end: our server's own stream where there is one, else the hub's messages."""
        if self._has_streams is not False:
            try:
                async with contextlib.aclosing(follow(Cursor(job_id, after), self._stream, self._timeouts)) as events:
                    async for event in events:
                        yield event
                    return
            except Retired:
                raise
            except NotServed:
                self._has_streams = False
        async with contextlib.aclosing(self._shared.follow(job_id)) as events:
            async for event in events:
                yield event

    async def _stream(self, cursor: Cursor) -> AsyncGenerator[bytes, None]:
        """One connection's part of the stream: each message has a piece of the text that HTTP would send."""
        async with self._own_socket() as socket:
            await socket.send({"type": "follow_job", "job_id": cursor.job_id, "after": cursor.after})
            while True:
                message = await socket.receive(self._timeouts.idle_timeout_s)
                match message["type"]:
                    case "job_stream":
                        self._has_streams = True
                        yield str(message.get("text", "")).encode()
                    case "job_stream_end":
                        cursor.ended = cursor.ended or message.get("over") is True
                        return
                    case "error":
                        refusal = legacy_messages.refusal(message)
                        if "Unsupported message type" in str(refusal):
                            raise NotServed("this server has no streams over WebSockets")
                        raise refusal

    async def _request(self, type_: str, job_id: str, **fields: str) -> JobStatus:
        return await Retry(self._timeouts).run(partial(self._once, type_, job_id, **fields))

    async def _once(self, type_: str, job_id: str, **fields: str) -> JobStatus:
        """One request on a connection of its own."""
        async with self._own_socket() as socket:
            await socket.send({"type": type_, "job_id": job_id, **fields})
            answer = await socket.receive(self._timeouts.request_s)
        if answer["type"] == "error":
            raise legacy_messages.refusal(answer)
        return legacy_messages.status(answer)

    def _own_socket(self) -> WebSocket:
        return self._socket(client_id=f"{self._client_id}-{uuid.uuid4().hex[:8]}")
