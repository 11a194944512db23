"""The hub's own account: what one monitor is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import websockets
from websockets.asyncio.client import connect

from harness.history.events import HistoryEvent, Kind, Source
from harness.history.file import HistoryWriter
from harness.history.recorders.background import Background

ENDS: Final = {"complete_job": Kind.COMPLETED, "fail_job": Kind.ATTEMPT_FAILED, "update_job_progress": Kind.PROGRESS}
STATUSES: Final = {"processing": Kind.CLAIMED, "cancelled": Kind.CANCELLED}
FRAME_LIMIT: Final = 16 * 2**20


def frame_kind(message: Mapping[str, Any]) -> Kind | None:
    """What a legacy message tells about a job. `fail_job` is each failed attempt: the hub has no word for the last."""
    kind = message.get("type")
    if kind == "response_job_status":
        return STATUSES.get(str(message.get("status")))
    return ENDS.get(str(kind))


def from_frame(message: Mapping[str, Any], at_ms: float, *, by: str = "monitor") -> HistoryEvent | None:
    """One frame that a monitor got; None where it tells nothing about a job."""
    kind = frame_kind(message)
    if kind is None or not message.get("job_id"):
        return None
    progress = message.get("progress") if kind is Kind.PROGRESS else None
    return HistoryEvent(
        at_ms=at_ms,
        source=Source.MONITOR,
        kind=kind,
        by=by,
        job_id=str(message["job_id"]),
        worker_id=message.get("worker_id"),
        progress=None if progress is None else float(progress),
        error=message.get("error"),
    )


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
            HistoryEvent(at_ms=self._writer.clock(), source=Source.MONITOR, kind=Kind.GAP, note="reconnected")
        )

    def _take(self, frame: str | bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            event = from_frame(msgspec.json.decode(frame, type=dict[str, Any]), self._writer.clock())
            if event:
                self.recorded += 1
                self._writer.add(event)
