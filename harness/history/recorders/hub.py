"""The hub's own account: what one monitor is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import websockets
from websockets.asyncio.client import connect

from harness.history.events import HistoryEvent, Source, told_by_system
from harness.history.file import HistoryWriter
from harness.history.recorders.background import Background
from harness.protocols import LOG_KINDS, EventKind, hub

FRAME_LIMIT: Final = 16 * 2**20


def from_frame(message: Mapping[str, Any], at_ms: float, *, by: str = "monitor") -> HistoryEvent | None:
    """One frame that a monitor got; None where it tells nothing about a job."""
    event = hub.event_of(message)
    return told_by_system(event, at_ms, Source.MONITOR, by) if event and event.kind in LOG_KINDS else None


class HubRecorder(Background):
    """Listens as a monitor and writes down what it is told. An async context manager."""

    def __init__(self, ws_url: str, writer: HistoryWriter, *, name: str = "history") -> None:
        super().__init__()
        self._url = f"{ws_url}/ws/monitor/{name}"
        self._writer = writer
        self.recorded = 0

    async def follow(self) -> None:
        """See `Background`."""
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException):
                async with connect(self._url, max_size=FRAME_LIMIT, close_timeout=1) as connection:
                    if self.ready.is_set():  # the hub keeps nothing for who was away
                        self._gap()
                    self.ready.set()
                    async for frame in connection:
                        self._take(frame)
            await asyncio.sleep(0.1)

    def _gap(self) -> None:
        self._writer.add(
            HistoryEvent(at_ms=self._writer.clock(), source=Source.MONITOR, kind=EventKind.GAP, note="reconnected")
        )

    def _take(self, frame: str | bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            event = from_frame(msgspec.json.decode(frame, type=dict[str, Any]), self._writer.clock())
            if event:
                self.recorded += 1
                self._writer.add(event)
