"""Fan-out: one reader of the stream `events` per process, a bounded queue for each subscriber."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from new_stack.api.snapshot import Snapshot
from new_stack.queue.events import FOR_MONITORS, Event, StreamId, parse_id

T = TypeVar("T")

TOO_SLOW: Final = "too slow: events piled up faster than this connection took them"
_NOBODY: Final[frozenset[Any]] = frozenset()
SHUTTING_DOWN: Final = "this server is shutting down: reconnect"


class Published:
    """An event on its way to many subscribers: what one of them encodes, the others share."""

    __slots__ = ("__weakref__", "_encoded", "_fetching", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._encoded: dict[Callable[[Event], object], object] = {}
        self._fetching: asyncio.Lock | None = None

    async def complete(self, fetch: Callable[[Event], Awaitable[Event]]) -> None:
        """Where the result was too large to travel with the event, fetch it, once for all subscribers."""
        if not self.event.result_omitted:
            return
        if self._fetching is None:
            self._fetching = asyncio.Lock()
        async with self._fetching:
            if self.event.result_omitted:
                self.event = await fetch(self.event)

    def encoded(self, encode: Callable[[Event], T]) -> T:
        """`encode(event)`, done once for all subscribers."""
        found = self._encoded.get(encode)
        if found is None:
            found = self._encoded[encode] = encode(self.event)
        return found  # type: ignore[return-value] # keyed by the encoder that made it


class Gap:
    """Takes the place of events that this process has missed."""

    __slots__ = ()


class DeliveryBarrier:
    """An answer that has to come after the events that led to it: it waits in their queue until it is `sent`.

    Without a frame it only marks the place.
    """

    __slots__ = ("frame", "sent")

    def __init__(self, frame: dict[str, Any] | None) -> None:
        self.frame = frame
        self.sent = asyncio.Event()


Item = Published | Gap | Snapshot | DeliveryBarrier


class Subscriber:
    """One reader's bounded queue. What it takes it takes in order; once `closed` says why, nothing more comes."""

    __slots__ = ("_items", "_limit", "_waiter", "closed")

    def __init__(self, limit: int) -> None:
        self._items: deque[Item] = deque()
        self._limit = limit
        self._waiter: asyncio.Future[None] | None = None
        self.closed: str | None = None

    def put(self, item: Item) -> None:
        """Add an item; a full queue closes the subscriber and drops what it holds, so memory stays bounded."""
        if self.closed is not None:
            return
        if len(self._items) >= self._limit:
            self.close(TOO_SLOW)
            return
        self._items.append(item)
        self._wake()

    def close(self, reason: str) -> None:
        """End the subscription from the server's side."""
        if self.closed is None:
            self.closed = reason
            self._items.clear()
            self._wake()

    async def take(self, seconds: float) -> list[Item]:
        """Everything that waits, or an empty list when nothing came in time or the subscriber is closed."""
        if not self._items and self.closed is None:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        items = list(self._items)
        self._items.clear()
        return items

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class FanOut:
    """Which subscriber gets which event: by job, by the client that a job belongs to, or all of them."""

    def __init__(self, queue_limit: int) -> None:
        self._limit = queue_limit
        self._by_job: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._by_client: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._all: set[Subscriber] = set()
        self._monitors: set[Subscriber] = set()
        self._subscribers: set[Subscriber] = set()
        self._stopping = False
        self.too_slow = 0
        self.published = 0
        self._read_to: StreamId = (0, 0)
        self._waiting: list[tuple[StreamId, asyncio.Future[None]]] = []

    def subscriber(self, limit: int = 0) -> Subscriber:
        """A new subscriber that hears of nothing yet; it holds `limit` items, or as many as all others."""
        subscriber = Subscriber(limit or self._limit)
        self._subscribers.add(subscriber)
        if self._stopping:
            subscriber.close(SHUTTING_DOWN)
        return subscriber

    def follow_job(self, subscriber: Subscriber, job_id: str) -> None:
        """From now on it hears of this job."""
        self._by_job[job_id].add(subscriber)

    def leave_job(self, subscriber: Subscriber, job_id: str) -> None:
        """It hears of this job no more."""
        _discard(self._by_job, job_id, subscriber)

    def follow_client(self, subscriber: Subscriber, client_id: str) -> None:
        """It hears of every job of this client: so a client that reconnects hears of the jobs it left behind."""
        self._by_client[client_id].add(subscriber)

    def follow_all(self, subscriber: Subscriber) -> None:
        """It hears of everything."""
        self._all.add(subscriber)

    def follow_snapshots(self, subscriber: Subscriber) -> None:
        """It gets the periodic snapshots."""
        self._monitors.add(subscriber)

    @property
    def watched(self) -> bool:
        """Whether anybody wants snapshots."""
        return bool(self._monitors)

    def publish_snapshot(self, snapshot: Snapshot) -> None:
        """Hand a snapshot to everybody who follows them."""
        for subscriber in self._monitors:
            subscriber.put(snapshot)

    def remove(self, subscriber: Subscriber, *, jobs: Iterable[str] = (), client_id: str | None = None) -> None:
        """Forget a subscriber; it names what it followed."""
        self._subscribers.discard(subscriber)
        self._all.discard(subscriber)
        self._monitors.discard(subscriber)
        for job_id in jobs:
            _discard(self._by_job, job_id, subscriber)
        if client_id is not None:
            _discard(self._by_client, client_id, subscriber)
        if subscriber.closed == TOO_SLOW:
            self.too_slow += 1

    def publish(self, events: Sequence[Event]) -> None:
        """Hand each event once to every subscriber that follows it."""
        self._hand_out(events)
        if events:
            self.read_to(parse_id(events[-1].id) or (0, 0))

    def read_to(self, at: StreamId) -> None:
        """Everything up to this id has been handed out."""
        self._read_to = at
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if wanted > at and not future.done():
                self._waiting.append((wanted, future))
            elif not future.done():
                future.set_result(None)

    async def reached(self, at: StreamId, seconds: float) -> None:
        """Wait until everything up to this id has been handed out, but not longer than this."""
        if at <= self._read_to:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((at, future))
        await asyncio.wait({future}, timeout=seconds)
        future.cancel()

    def _hand_out(self, events: Sequence[Event]) -> None:
        for event in events:
            self.published += 1
            item = Published(event)
            concerned = self._all
            if event.kind not in FOR_MONITORS:
                followers = self._by_job.get(event.job_id, _NOBODY)
                concerned = concerned.union(followers, self._by_client.get(event.client_id or "", _NOBODY))
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


def _discard(index: defaultdict[str, set[Subscriber]], key: str, subscriber: Subscriber) -> None:
    followers = index.get(key)
    if followers is not None:
        followers.discard(subscriber)
        if not followers:
            del index[key]
