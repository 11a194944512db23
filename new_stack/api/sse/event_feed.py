"""The feed of all jobs' events, for monitors and dashboards: live, or from a cursor on."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from new_stack.api.http.problems import invalid
from new_stack.api.modern.wording import whole_number
from new_stack.api.services import SERVICES, Services
from new_stack.api.sse import stream as sse
from new_stack.api.sse.cursor import PageSize, before, text_of
from new_stack.api.streaming.fanout import ALL, Gap, Published, Subscriber
from new_stack.queue.events import Event, EventKind, StreamId, parse_id

LATEST_MS: Final = 10**14
"""A time that no event has reached: bounds `since`."""


class Filter(msgspec.Struct, frozen=True):
    """Which events a reader wants; an empty set wants all."""

    services: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def wants(self, event: Event) -> bool:
        """Whether this event is sent."""
        return (not self.services or event.service_required in self.services) and (
            not self.kinds or event.kind.value in self.kinds
        )


async def all_events(request: web.Request) -> web.StreamResponse:
    """GET /api/events."""
    services = request.app[SERVICES]
    wanted, cursor = _filter(request), sse.cursor_of(request)
    since = whole_number(request, "since", 0, 0, LATEST_MS) if "since" in request.query else None
    await services.queue.ping()
    stream, subscriber = sse.Stream(services), services.fanout.subscriber()
    feed = EventFeed(services, stream, subscriber, wanted)
    try:
        return await stream.serve(request, lambda _: feed.run(cursor, since))
    finally:
        services.fanout.remove(subscriber)


def _filter(request: web.Request) -> Filter:
    kinds = _words(request, "kinds")
    unknown = sorted(kinds - set(EventKind))
    if unknown:
        raise invalid("kinds", f"there is no kind {unknown[0]!r}: there are {', '.join(EventKind)}")
    return Filter(services=_words(request, "job_types") | _words(request, "services"), kinds=kinds)


def _words(request: web.Request, name: str) -> frozenset[str]:
    texts = request.query.getall(name, [])
    return frozenset(word.strip() for text in texts for word in text.split(",") if word.strip())


class EventFeed:
    """Follows everything for one reader."""

    def __init__(self, services: Services, stream: sse.Stream, subscriber: Subscriber, wanted: Filter) -> None:
        self._services = services
        self._stream = stream
        self._subscriber = subscriber
        self._wanted = wanted
        self._last: StreamId = (0, 0)

    async def run(self, cursor: str | None, since: int | None = None) -> None:
        """Send what came after the cursor (or since a time in ms), then what comes, until the server breaks off."""
        if cursor:
            await self._find(cursor)
        elif since is not None:
            self._last = (since, 0)
        if cursor or since is not None:
            await self._read_on()
        self._services.fanout.follow(self._subscriber, ALL)
        if cursor or since is not None:
            await self._read_on()
        seconds = self._services.settings.keepalive_ms / 1000
        while self._subscriber.closed is None:
            items = await self._subscriber.take(seconds)
            if any(isinstance(item, Gap) for item in items):
                await self._stream.write_all([sse.gap_frame("missed", await self._services.queue.first_event_id())])
            live = [item for item in items if isinstance(item, Published)]
            if live:
                await self._send(live)
            elif self._subscriber.closed is None:
                await self._stream.write_all([sse.KEEPALIVE])
        await self._stream.write_all([sse.disconnect_frame(self._subscriber.closed or "")])

    async def _find(self, cursor: str) -> None:
        """Look for the cursor in the stream; tell a gap where it is not there."""
        at = parse_id(cursor)
        if at is None:
            await self._stream.write_all([sse.gap_frame("malformed", await self._services.queue.first_event_id())])
            return
        self._last = at
        if at != (0, 0):
            found, _ = await self._services.queue.events(before(at), block_ms=0, count=1)
            if not found or parse_id(found[0].id) != at:
                oldest = await self._services.queue.first_event_id()
                reason = "trimmed" if at < (parse_id(oldest) or (0, 0)) else "unknown"
                await self._stream.write_all([sse.gap_frame(reason, oldest)])
                if reason == "unknown":
                    self._last = (0, 0)

    async def _read_on(self) -> None:
        """Read to the feed's end: once before the subscription, so that it need not hold much, and once after."""
        more, pages = True, PageSize()
        while more and self._subscriber.closed is None:
            began = self._last
            events, end = await self._services.queue.events(text_of(began), block_ms=0, count=pages.count)
            pages.adapt(await self._send([self._services.large_results.published(event) for event in events]))
            self._last = parse_id(end) or self._last
            more = self._last != began

    async def _send(self, items: list[Published]) -> int:
        """Send what is newer than the last event and wanted; answers how many bytes it was."""
        wanted: list[Published] = []
        for item in items:
            at = parse_id(item.event.id) or (0, 0)
            if at > self._last:
                self._last = at
                if self._wanted.wants(item.event):
                    wanted.append(item)
        return await sse.send_events(self._services, self._stream, wanted, sse.event_frame)


ROUTES: Final = (("GET", "/api/events", all_events),)
