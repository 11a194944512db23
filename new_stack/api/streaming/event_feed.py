"""The feed of all jobs' events, for monitors and dashboards: live, or from a cursor on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from new_stack.api.services import Services
from new_stack.api.streaming import sse
from new_stack.api.streaming.cursor import StreamId, before, parse_id
from new_stack.api.streaming.fanout import Gap, Published, Subscriber
from new_stack.queue.events import Event

PAGE: Final = 500


class Filter(msgspec.Struct, frozen=True):
    """Which events a reader wants; an empty set wants all."""

    services: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def wants(self, event: Event) -> bool:
        """Whether this event is sent."""
        return (not self.services or event.service_required in self.services) and (
            not self.kinds or event.kind.value in self.kinds
        )


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
        self._services.fanout.follow_all(self._subscriber)
        if cursor or since is not None:
            await self._read_on()
        seconds = self._services.settings.keepalive_ms / 1000
        while self._subscriber.closed is None:
            items = await self._subscriber.take(seconds)
            if any(isinstance(item, Gap) for item in items):
                await self._stream.write_all([sse.gap_frame("missed", await self._services.queue.first_event_id())])
            live = [item for item in items if isinstance(item, Published)]
            if live:
                await self._send_live(live)
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
            found = await self._services.queue.events(before(at), block_ms=0, count=1)
            if not found or parse_id(found[0].id) != at:
                oldest = await self._services.queue.first_event_id()
                reason = "trimmed" if at < (parse_id(oldest) or (0, 0)) else "unknown"
                await self._stream.write_all([sse.gap_frame(reason, oldest)])
                if reason == "unknown":
                    self._last = (0, 0)

    async def _read_on(self) -> None:
        """Read to the stream's end: once before the subscription, so that it need not hold much, and once after."""
        more = True
        while more and self._subscriber.closed is None:
            after = f"{self._last[0]}-{self._last[1]}"
            page = await self._services.queue.events(after, block_ms=0, count=PAGE)
            await self._send(page)
            more = len(page) == PAGE

    async def _send(self, events: Iterable[Event]) -> None:
        parts: list[bytes] = []
        for event in events:
            self._last = parse_id(event.id) or self._last
            if self._wanted.wants(event):
                parts.append(sse.event_frame(await self._services.with_result(event)))
        await self._stream.write_all(parts)

    async def _send_live(self, items: list[Published]) -> None:
        parts: list[bytes] = []
        for item in items:
            at = parse_id(item.event.id) or (0, 0)
            if at <= self._last:
                continue
            self._last = at
            if not self._wanted.wants(item.event):
                continue
            await item.complete(self._services.with_result)
            parts.append(item.encoded(sse.event_frame))
        await self._stream.write_all(parts)
