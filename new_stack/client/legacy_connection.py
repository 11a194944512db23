"""Connections to `/ws/client/{id}`: the opener of all of them, and the one on which an old hub sends a job's events."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import aiohttp
import msgspec

from new_stack.client import legacy_messages
from new_stack.client.errors import ClientError, NotServed, RequestRefused, ServerUnavailable
from new_stack.client.legacy_messages import Message
from new_stack.client.timeouts import Retry, Timeouts, connection_errors
from new_stack.client.types import Accepted, EventKind, Gap, JobEvent, JobOrder, JobState, JobStatus

GONE_CODE: Final = 4410
"""By which a server refuses the hub's protocols: closes the connection, and says so in an error before."""

BUFFERS_KEPT: Final = 1_000
"""Jobs whose events are kept for a follower that may still come."""


class WebSocket:
    """One connection: opened with its greeting and token, read message by message."""

    def __init__(
        self,
        url: str,
        client_id: str,
        session: aiohttp.ClientSession,
        timeouts: Timeouts,
        token: str | None,
        *,
        gone: Callable[[str], ClientError] = ServerUnavailable,
        on_notice: Callable[[object], None] = lambda _: None,
    ) -> None:
        """`gone` makes the error for a server that refuses this protocol; `on_notice` gets its notice that it will."""
        parts = urlsplit(url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        path = f"{parts.path.rstrip('/')}/ws/client/{quote(client_id, safe='')}"
        self._url = urlunsplit((scheme, parts.netloc, path, urlencode({"token": token}) if token else "", ""))
        self._url_without_token = urlunsplit((scheme, parts.netloc, path, "", ""))
        self._session = session
        self._timeouts = timeouts
        self._gone = gone
        self._on_notice = on_notice
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        """Connect and read the greeting. Raises ServerUnavailable, or RequestRefused for a wrong token."""
        heartbeat = self._timeouts.idle_timeout_s / 2
        try:
            with connection_errors(f"{self._url_without_token} cannot be reached"):
                async with asyncio.timeout(self._timeouts.connect_s):
                    self._socket = await self._session.ws_connect(self._url, max_msg_size=0, heartbeat=heartbeat)
                    greeting = await self.receive()
        except (ServerUnavailable, NotServed):
            await self.close()
            raise
        if "deprecation" in greeting:
            self._on_notice(greeting["deprecation"])
        if greeting["type"] == "error":
            await self.close()
            raise RequestRefused(str(greeting.get("error")), status=401)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close in order; a server that does not answer is not waited for longer than 2 s."""
        if self._socket is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._socket.close()

    async def send(self, message: Message) -> None:
        """Send one message. Raises ServerUnavailable."""
        assert self._socket is not None  # noqa: S101 - it is entered first
        with connection_errors(self._url_without_token):
            await self._socket.send_str(msgspec.json.encode(message).decode())

    async def receive(self, within_s: float | None = None) -> Message:
        """The next message. Raises ServerUnavailable where the connection ends or nothing comes in time."""
        assert self._socket is not None  # noqa: S101 - as above
        with connection_errors(f"{self._url_without_token}: no message within {within_s} s"):
            async with asyncio.timeout(within_s):
                while True:
                    frame = await self._socket.receive()
                    if frame.type is aiohttp.WSMsgType.TEXT:
                        if (message := legacy_messages.decode(frame.data)) is not None:
                            if message.get("code") == GONE_CODE:
                                raise self._gone(str(message.get("error")))
                            return message
                    elif frame.type is not aiohttp.WSMsgType.BINARY:
                        code = self._socket.close_code
                        if code == GONE_CODE:
                            raise self._gone(f"{self._url_without_token} is not served")
                        raise ServerUnavailable(f"{self._url_without_token}: the connection was closed (code {code})")


class EventBuffer:
    """The events of one job that no follower has taken yet. `broken`: the connection was lost since."""

    def __init__(self) -> None:
        self._events: deque[JobEvent] = deque(maxlen=1_000)
        self._changed = asyncio.Event()
        self.broken = False

    def put(self, event: JobEvent) -> None:
        """Add one."""
        self._events.append(event)
        self._changed.set()

    def break_off(self) -> None:
        """Nothing more comes from this connection."""
        self.broken = True
        self._changed.set()

    async def take(self, within_s: float) -> JobEvent | None:
        """The next event; None where none came in time or the connection broke."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self._events and not self.broken:
                    self._changed.clear()
                    await self._changed.wait()
        return self._events.popleft() if self._events else None


class LegacyConnection:
    """Submits and follows over one connection, opened when it is needed and again after it broke."""

    def __init__(
        self,
        new_socket: Callable[[], WebSocket],
        ask_status: Callable[[str], Awaitable[JobStatus]],
        timeouts: Timeouts,
    ) -> None:
        self._new_socket = new_socket
        self._ask_status = ask_status
        self._timeouts = timeouts
        self._buffers: OrderedDict[str, EventBuffer] = OrderedDict()
        self._socket: WebSocket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._one_request = asyncio.Lock()
        self._reply: tuple[str, asyncio.Future[Message]] | None = None

    async def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def submit(self, order: JobOrder) -> Accepted:
        """Submit a job and receive its events from now on. Raises RequestRefused, ServerUnavailable."""
        return legacy_messages.accepted(await self._request(order.id, legacy_messages.submit_message(order)))

    async def follow(self, job_id: str) -> AsyncGenerator[JobEvent | Gap, None]:
        """The job's events to its end. The end always comes: while the hub is silent, its status is asked for."""
        retry = Retry(self._timeouts)
        buffer = self._buffers.get(job_id)
        while True:
            try:
                if buffer is None or buffer.broken:
                    reconnected = buffer is not None
                    await self._request(job_id, {"type": "subscribe_job", "job_id": job_id})
                    buffer = self._buffers[job_id]
                    if reconnected:
                        yield Gap(job_id=job_id, reason="reconnected")
                    end = legacy_messages.end_event(await self._ask_status(job_id))
                    retry.succeeded()
                    if end is not None:
                        yield end
                        return
                event = await self._next(job_id, buffer)
            except ServerUnavailable as error:
                await retry.pause_or_raise(error)
                continue
            if event is not None:
                yield event
                if event.ending:
                    self._buffers.pop(job_id, None)
                    return

    async def _next(self, job_id: str, buffer: EventBuffer) -> JobEvent | None:
        event = await buffer.take(self._timeouts.idle_timeout_s)
        if event is None:
            return None if buffer.broken else legacy_messages.end_event(await self._ask_status(job_id))
        if event.kind is EventKind.ATTEMPT_FAILED:
            job = await self._ask_status(job_id)  # the hub does not say whether the job runs again
            if job.status is JobState.FAILED:
                return msgspec.structs.replace(event, kind=EventKind.FAILED)
        return event

    async def _request(self, job_id: str, message: Message) -> Message:
        """Send a message about a job and wait for the answer that names the job, or for an error."""
        async with self._one_request:
            socket = await self._connected()
            self._keep_buffer(job_id)
            reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            self._reply = (job_id, reply)
            try:
                async with asyncio.timeout(self._timeouts.request_s):
                    await socket.send(message)
                    answer = await reply
            except TimeoutError as error:
                await self._drop_connection()  # else a late answer would be taken for the next request's
                raise ServerUnavailable(f"no answer to {message['type']} in time") from error
            finally:
                self._reply = None
        if answer["type"] == "error":
            self._buffers.pop(job_id, None)
            raise legacy_messages.refusal(answer)
        return answer

    async def _connected(self) -> WebSocket:
        if self._socket is None or self._reader is None or self._reader.done():
            await self._drop_connection()
            self._socket = await self._new_socket().__aenter__()
            self._reader = asyncio.create_task(self._read(self._socket))
        return self._socket

    async def _drop_connection(self) -> None:
        await self.close()
        self._break_buffers()

    def _break_buffers(self) -> None:
        for buffer in self._buffers.values():
            buffer.break_off()

    def _keep_buffer(self, job_id: str) -> None:
        buffer = self._buffers.get(job_id)
        if buffer is None or buffer.broken:
            self._buffers[job_id] = EventBuffer()
        self._buffers.move_to_end(job_id)
        if len(self._buffers) > BUFFERS_KEPT:
            self._buffers.popitem(last=False)[1].break_off()

    async def _read(self, socket: WebSocket) -> None:
        try:
            while True:
                self._dispatch(await socket.receive())
        except (ServerUnavailable, NotServed) as error:
            if self._reply is not None and not self._reply[1].done():
                self._reply[1].set_exception(error)
        finally:
            self._break_buffers()

    def _dispatch(self, message: Message) -> None:
        kind, job_id = message["type"], message.get("job_id")
        if self._reply is not None and not self._reply[1].done():
            answers = kind in {"job_accepted", "subscription_confirmed"} and job_id == self._reply[0]
            if answers or kind == "error":
                self._reply[1].set_result(message)
        event = legacy_messages.event(message)
        if event is not None and event.job_id in self._buffers:
            self._buffers[event.job_id].put(event)
