"""What a fault met: how many jobs ran, waited and were in back-off at that moment, and who followed any."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.history.absences import SHARED_FAULTS, WORKER_FAULTS
from harness.history.events import HistoryEvent
from harness.history.history import History
from harness.protocols import ENDS, EventKind

STRIKES = WORKER_FAULTS | SHARED_FAULTS | {EventKind.BROWN_OUT}
READY = frozenset({EventKind.SUBMITTED, EventKind.RELEASED, EventKind.LEASE_EXPIRED, EventKind.RETRIED})
"""After one of these a job waits for a worker."""


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """One fault and what it met."""

    kind: EventKind
    target: str
    in_flight: int
    waiting: int
    in_back_off: int
    subscribed: int
    """Subscriptions to jobs that had not ended."""


def strikes_of(history: History) -> list[Strike]:
    """Every fault of a history, in order, by the system's own account and the clients' subscriptions up to it."""
    return list(_strikes(history))


def _strikes(history: History) -> Iterator[Strike]:
    places: dict[str, set[str]] = {"running": set(), "waiting": set(), "back-off": set()}
    followed: dict[str, set[str]] = {}
    for event in history.events:
        if event.kind in STRIKES:
            yield Strike(
                kind=event.kind,
                target=event.target,
                in_flight=len(places["running"]),
                waiting=len(places["waiting"]),
                in_back_off=len(places["back-off"]),
                subscribed=sum(map(len, followed.values())),
            )
        elif event.job_id is not None and event.source is history.log_source:
            _move(places, event)
            if event.kind in ENDS:
                followed.pop(event.job_id, None)
        elif event.kind is EventKind.SUBSCRIBED and event.job_id is not None:
            followed.setdefault(event.job_id, set()).add(event.by)
        elif event.kind is EventKind.UNSUBSCRIBED and event.job_id is not None:
            followed.get(event.job_id, set()).discard(event.by)


def _move(places: dict[str, set[str]], event: HistoryEvent) -> None:
    job_id = event.job_id or ""
    if event.kind in READY:
        place = "waiting"
    elif event.kind is EventKind.CLAIMED:
        place = "running"
    elif event.kind is EventKind.ATTEMPT_FAILED:
        place = "back-off"
    elif event.kind in ENDS:
        place = ""
    else:
        return
    for jobs in places.values():
        jobs.discard(job_id)
    if place:
        places[place].add(job_id)
