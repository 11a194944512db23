"""The stack's own account: its `events` stream, by `GET /api/events` (SSE), or entry by entry from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import httpx
import httpx_sse
import msgspec

from harness.history.events import HistoryEvent, Source, told_by_system
from harness.history.file import HistoryWriter
from harness.history.recorders.background import Background
from harness.protocols import LOG_KINDS, EventKind, stack

RECONNECT_S: Final = 0.1
QUIET_S: Final = 60.0
"""Longer than the stack's keep-alive: a line that says nothing for so long is dead."""


def from_event(data: Mapping[str, Any], entry: str = "") -> HistoryEvent | None:
    """One event as the API tells it (the `data:` of `/api/events`), or as an entry of the stream in Redis has it.

    None for a kind that the history does not know.
    """
    event = stack.event_of(data, event_id=entry)
    if event is None or event.kind not in LOG_KINDS:
        return None
    # ms that were made seconds are made whole again
    return told_by_system(event, round((event.at or 0) * 1000, 3), Source.REDIS, "events")


class StackRecorder(Background):
    """Follows `/api/events` into a history, across restarts of the API, from the last id that it saw.

    An async context manager; on exit it stops. A `gap` that the API reports is written down, because checkers that need
    the whole log cannot be sure then. It begins after the id `since`: by default with all that the stream holds.
    """

    def __init__(
        self, urls: str | list[str], writer: HistoryWriter, *, token: str | None = None, since: str = "0-0"
    ) -> None:
        super().__init__()
        self._urls = [urls] if isinstance(urls, str) else urls
        self._writer = writer
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._last_id = since
        self.recorded = 0

    async def follow(self) -> None:
        """See `Background`."""
        turn = 0
        async with httpx.AsyncClient(timeout=httpx.Timeout(5, read=QUIET_S)) as http:
            while True:
                url = self._urls[turn % len(self._urls)]
                turn += 1
                # The API may be down (it is killed on purpose): the next turn asks again, from the last id.
                with contextlib.suppress(httpx.HTTPError, httpx_sse.SSEError):
                    await self._read(http, url)
                await asyncio.sleep(RECONNECT_S)

    async def _read(self, http: httpx.AsyncClient, url: str) -> None:
        headers = dict(self._headers)
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        async with httpx_sse.aconnect_sse(http, "GET", f"{url}/api/events", headers=headers) as source:
            source.response.raise_for_status()
            self.ready.set()
            async for message in source.aiter_sse():
                self._take(message)

    def _take(self, message: httpx_sse.ServerSentEvent) -> None:
        if message.id:
            self._last_id = message.id
        if message.event == "gap":
            at_ms = self._writer.clock()
            gap = HistoryEvent(
                at_ms=at_ms, source=Source.REDIS, kind=EventKind.GAP, by="events", note=message.data[:200]
            )
            self._writer.add(gap)
            return
        with contextlib.suppress(msgspec.DecodeError):  # keep-alives and kinds to come have no such data
            event = from_event(msgspec.json.decode(message.data, type=dict[str, Any]), message.id)
            if event:
                self.recorded += 1
                self._writer.add(event)
