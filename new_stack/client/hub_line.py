"""The one connection on which an old hub takes a client's submissions and tells it of its jobs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import msgspec

from new_stack.client import hub_words
from new_stack.client.errors import ServerUnavailable
from new_stack.client.patience import Patience
from new_stack.client.socket import Socket
from new_stack.client.words import Accepted, Gap, JobEvent, JobOrder, JobStatus
from new_stack.queue.events import EventKind
from new_stack.queue.jobs import JobState

FEEDS_KEPT: Final = 1_000
"""Jobs whose events are kept for a follower that may still come."""


class Feed:
    """The events of one job that nobody has taken yet. `broken`: the connection was lost since."""

    def __init__(self) -> None:
        self._events: deque[JobEvent] = deque(maxlen=1_000)
        self._news = asyncio.Event()
        self.broken = False

    def put(self, event: JobEvent) -> None:
        """Add one."""
        self._events.append(event)
        self._news.set()

    def break_off(self) -> None:
        """Nothing more comes from this connection."""
        self.broken = True
        self._news.set()

    async def take(self, within_s: float) -> JobEvent | None:
        """The next event; None where none came in time or the connection broke."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self._events and not self.broken:
                    self._news.clear()
                    await self._news.wait()
        return self._events.popleft() if self._events else None


class HubLine:
    """Submits and follows over one connection, opened when it is needed and again after it broke."""

    def __init__(
        self, open_socket: Callable[[], Socket], ask_status: Callable[[str], Awaitable[JobStatus]], patience: Patience
    ) -> None:
        self._open_socket = open_socket
        self._ask_status = ask_status
        self._patience = patience
        self._feeds: OrderedDict[str, Feed] = OrderedDict()
        self._socket: Socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._reply: tuple[str, asyncio.Future[hub_words.Message]] | None = None

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
        """Submit a job and be told of it from now on. Raises RequestRefused, ServerUnavailable."""
        message = await self._exchange(order.id, hub_words.submit_message(order))
        return hub_words.accepted(message)

    async def follow(self, job_id: str) -> AsyncGenerator[JobEvent | Gap, None]:
        """What the hub tells of a job, to its end. Its end always comes: where the hub is silent, it is asked."""
        attempt = self._patience.begin()
        feed = self._feeds.get(job_id)
        while True:
            try:
                if feed is None or feed.broken:
                    again = feed is not None
                    await self._exchange(job_id, {"type": "subscribe_job", "job_id": job_id})
                    feed = self._feeds[job_id]
                    if again:
                        yield Gap(job_id=job_id, reason="reconnected")
                    ending = hub_words.ending_of(await self._ask_status(job_id))
                    attempt.succeeded()
                    if ending is not None:
                        yield ending
                        return
                event = await self._next(job_id, feed)
            except ServerUnavailable as error:
                await attempt.pause_or_raise(error)
                continue
            if event is not None:
                yield event
                if event.ending:
                    self._feeds.pop(job_id, None)
                    return

    async def _next(self, job_id: str, feed: Feed) -> JobEvent | None:
        event = await feed.take(self._patience.silence_s)
        if event is None:
            return None if feed.broken else hub_words.ending_of(await self._ask_status(job_id))
        if event.kind is EventKind.ATTEMPT_FAILED:
            stands = await self._ask_status(job_id)
            if stands.status is JobState.FAILED:
                return msgspec.structs.replace(event, kind=EventKind.FAILED)
        return event

    async def _exchange(self, job_id: str, message: hub_words.Message) -> hub_words.Message:
        """Say something about a job and wait for the answer that names it, or for the error that says no."""
        async with self._one_at_a_time:
            socket = await self._connected()
            self._keep_feed(job_id)
            reply: asyncio.Future[hub_words.Message] = asyncio.get_running_loop().create_future()
            self._reply = (job_id, reply)
            try:
                async with asyncio.timeout(self._patience.request_s):
                    await socket.send(message)
                    answer = await reply
            except TimeoutError as error:
                await self._drop_connection()  # else a late answer would be taken for the next question's
                raise ServerUnavailable(f"no answer to {message['type']} in time") from error
            finally:
                self._reply = None
        if answer["type"] == "error":
            self._feeds.pop(job_id, None)
            raise hub_words.refusal(answer)
        return answer

    async def _connected(self) -> Socket:
        if self._socket is None or self._reader is None or self._reader.done():
            await self._drop_connection()
            self._socket = await self._open_socket().__aenter__()
            self._reader = asyncio.create_task(self._read(self._socket))
        return self._socket

    async def _drop_connection(self) -> None:
        await self.close()
        for feed in self._feeds.values():
            feed.break_off()

    def _keep_feed(self, job_id: str) -> None:
        feed = self._feeds.get(job_id)
        if feed is None or feed.broken:
            self._feeds[job_id] = Feed()
        self._feeds.move_to_end(job_id)
        if len(self._feeds) > FEEDS_KEPT:
            self._feeds.popitem(last=False)[1].break_off()

    async def _read(self, socket: Socket) -> None:
        try:
            async for message in socket.messages():
                self._hear(message)
        except ServerUnavailable as error:
            if self._reply is not None and not self._reply[1].done():
                self._reply[1].set_exception(error)
        finally:
            for feed in self._feeds.values():
                feed.break_off()

    def _hear(self, message: hub_words.Message) -> None:
        kind, job_id = message["type"], message.get("job_id")
        if self._reply is not None and not self._reply[1].done():
            answers = kind in {"job_accepted", "subscription_confirmed"} and job_id == self._reply[0]
            if answers or kind == "error":
                self._reply[1].set_result(message)
        event = hub_words.event(message)
        if event is not None and event.job_id in self._feeds:
            self._feeds[event.job_id].put(event)
