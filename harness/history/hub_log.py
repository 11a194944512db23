"""What a hub's monitors are not told, added to its log from what its clients know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from harness.history.events import HistoryEvent, Source
from harness.protocols import LOG_KINDS, EventKind


def completed_log(events: Iterable[HistoryEvent]) -> list[HistoryEvent]:
    """A hub's history with what its monitors are not told: `submitted`, and each job's service and priority.

    Both are taken from the clients, who know them: a job is in the line from its acknowledgement on, or from the first
    thing that happened to it if that was seen earlier.
    """
    history = list(events)
    if any(event.source is Source.REDIS and event.kind in LOG_KINDS for event in history):
        return history
    about = {e.job_id: e for e in reversed(history) if e.kind in (EventKind.SUBMIT, EventKind.ACCEPTED) and e.service}
    first: dict[str | None, float] = {}
    for event in sorted(history, key=lambda event: event.at_ms):
        if event.kind is EventKind.ACCEPTED or (event.source is Source.MONITOR and event.kind in LOG_KINDS):
            first.setdefault(event.job_id, event.at_ms)
    acked = {event.job_id for event in history if event.kind is EventKind.ACCEPTED}
    has_log = any(event.source is Source.MONITOR for event in history)
    entered = [
        HistoryEvent(
            at_ms=at_ms,
            source=Source.MONITOR,
            kind=EventKind.SUBMITTED,
            by="derived",
            job_id=job_id,
            **_of(about.get(job_id)),
        )
        for job_id, at_ms in first.items()
        if has_log and job_id in acked
    ]
    told = [
        msgspec.structs.replace(event, **_of(about.get(event.job_id))) if event.source is Source.MONITOR else event
        for event in history
    ]
    return entered + told


def _of(submit: HistoryEvent | None) -> dict[str, Any]:
    return {"service": submit.service, "priority": submit.priority} if submit else {}
