"""Fan-out: one reader of the stream `events` per process, a bounded queue for each subscriber."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from new_stack.api.snapshot import Snapshot
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.events import FOR_MONITORS, Event, StreamId
from new_stack.queue.reader import Reader

T = TypeVar("T")

TOO_SLOW: Final = "too slow: events piled up faster than this connection took them"
SHUTTING_DOWN: Final = "this server is shutting down: reconnect"


class Published(msgspec.Struct, eq=False, weakref=True):
    """An event on its way to many subscribers: what one of them encodes, the others share."""

    event: Event
    _encoded: dict[Callable[[Event], object], object] = {}
    _fetching: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)

    async def complete(self, queue: Reader) -> None:
        """Where the result was too large to travel with the event, read it, once for all; wait while Redis is away."""
        async with self._fetching:
            while self.event.result_omitted:
                try:
                    job = await queue.job(self.event.job_id)
                except QueueUnavailable:
                    await asyncio.sleep(1.0)
                else:
                    result = None if job is None else job.result
                    self.event = msgspec.structs.replace(self.event, result=result, result_omitted=False)

    def encoded(self, encode: Callable[[Event], T]) -> T:
        """`encode(event)`, done once for all subscribers."""
        found = self._encoded.get(encode)
        if found is None:
            found = self._encoded[encode] = encode(self.event)
        return found  # type: ignore[return-value] # keyed by the encoder that made it


class Gap:
    """Takes the place of events that this process has missed."""

    __slots__ = ()


class DeliveryBarrier(msgspec.Struct, eq=False):
    """An answer that has to come after the events that led to it: it waits in their queue until it is `sent`.

    Without a frame it only marks the place.
    """

    frame: dict[str, Any] | None
    sent: asyncio.Event = msgspec.field(default_factory=asyncio.Event)


Topic = tuple[str, str]
"""What one may follow: everything, the periodic snapshots, a job, or the jobs of a client."""

ALL: Final[Topic] = ("all", "")
SNAPSHOTS: Final[Topic] = ("snapshots", "")


def of_job(job_id: str) -> Topic:
    """One job."""
    return "job", job_id


def of_client(client_id: str) -> Topic:
    """Every job of this client: so a client that reconnects hears of the jobs it left behind."""
    return "client", client_id


Item = Published | Gap | Snapshot | DeliveryBarrier


class Subscriber(msgspec.Struct, eq=False):
    """One reader's bounded queue. What it takes it takes in order; once `closed` says why, nothing more comes."""

    limit: int
    closed: str | None = None
    topics: dict[Topic, None] = {}
    """What it follows, in the order in which it last began to."""
    _items: list[Item] = []
    _woken: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def put(self, item: Item) -> None:
        """Add an item; a full queue closes the subscriber and drops what it holds, so memory stays bounded."""
        if len(self._items) >= self.limit:
            self.close(TOO_SLOW)
        elif self.closed is None:
            self._items.append(item)
            self._woken.set()

    def close(self, reason: str) -> None:
        """End the subscription from the server's side."""
        if self.closed is None:
            self.closed = reason
            self._items.clear()
            self._woken.set()

    async def take(self, seconds: float) -> list[Item]:
        """Everything that waits, or an empty list when nothing came in time or the subscriber is closed."""
        if not self._items and self.closed is None:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
        items, self._items = self._items, []
        return items


class FanOut:
    """Which subscriber gets which event, by the topics that it follows."""

    def __init__(self, queue_limit: int) -> None:
        self._limit = queue_limit
        self._followers: defaultdict[Topic, set[Subscriber]] = defaultdict(set)
        self._subscribers: set[Subscriber] = set()
        self._stopping = False
        self.too_slow = 0
        self.published = 0
        self._read_to: StreamId = (0, 0)
        self._read_on = asyncio.Event()

    def subscriber(self, limit: int = 0) -> Subscriber:
        """A new subscriber that hears of nothing yet; it holds `limit` items, or as many as all others."""
        subscriber = Subscriber(limit or self._limit)
        self._subscribers.add(subscriber)
        if self._stopping:
            subscriber.close(SHUTTING_DOWN)
        return subscriber

    def follow(self, subscriber: Subscriber, topic: Topic) -> None:
        """From now on it hears of this."""
        self._followers[topic].add(subscriber)
        subscriber.topics.pop(topic, None)
        subscriber.topics[topic] = None

    def leave(self, subscriber: Subscriber, topic: Topic) -> None:
        """It hears of this no more."""
        subscriber.topics.pop(topic, None)
        self._followers[topic].discard(subscriber)
        if not self._followers[topic]:
            del self._followers[topic]

    def followers(self, topic: Topic) -> AbstractSet[Subscriber]:
        """Who hears of this."""
        return self._followers.get(topic, frozenset())

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a subscriber, and what it followed."""
        self._subscribers.discard(subscriber)
        for topic in tuple(subscriber.topics):
            self.leave(subscriber, topic)
        if subscriber.closed == TOO_SLOW:
            self.too_slow += 1

    def read_to(self, at: StreamId) -> None:
        """Everything up to this id has been handed out."""
        self._read_to = at
        self._read_on.set()
        self._read_on = asyncio.Event()

    async def reached(self, at: StreamId, seconds: float) -> None:
        """Wait until everything up to this id has been handed out, but not longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while at > self._read_to:
                    await self._read_on.wait()

    def publish(self, events: Sequence[Event]) -> None:
        """Hand each event once to every subscriber that follows it."""
        for event in events:
            self.published += 1
            item = Published(event)
            concerned = self.followers(ALL)
            if event.kind not in FOR_MONITORS:
                concerned = concerned | self.followers(of_job(event.job_id))
                concerned = concerned | self.followers(of_client(event.client_id or ""))
            for subscriber in concerned:
                subscriber.put(item)

    def missed(self) -> None:
        """Tell everybody that events were lost on the way to this process."""
        for subscriber in self._subscribers:
            subscriber.put(Gap())

    def stop(self) -> None:
        """Close every subscriber, now and later, because the process is about to go."""
        self._stopping = True
        for subscriber in self._subscribers:
            subscriber.close(SHUTTING_DOWN)

    def figures(self) -> dict[str, int]:
        """What metrics show of it."""
        figures = {"subscribers": len(self._subscribers), "events_published": self.published}
        return figures | {"slow_readers": self.too_slow}
