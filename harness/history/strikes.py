"""What a fault met: how many jobs ran, waited and were in back-off at that moment, and who followed any."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from harness.history.absences import SHARED_FAULTS, WORKER_FAULTS, Part
from harness.history.events import HistoryEvent
from harness.history.history import History, JobHistory, WorkerRun
from harness.protocols import ENDS, EventKind

STRIKES = WORKER_FAULTS | SHARED_FAULTS | {EventKind.BROWN_OUT}
GONE = frozenset({EventKind.KILLED, EventKind.TERMINATED, EventKind.CRASHED})
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


def ends_met(history: History) -> int:
    """How many runs ended while Redis was away and had said all else before: nothing but their end met the outage."""
    away = [(one.from_s * 1000, one.to_s * 1000) for one in history.absences if one.part is Part.REDIS]
    return sum(
        from_ms < run.until_ms < to_ms and _last_word_ms(job, run) < from_ms
        for job in history.jobs.values()
        for run in job.runs
        for from_ms, to_ms in away
    )


def _last_word_ms(job: JobHistory, run: WorkerRun) -> float:
    said = (event.at_ms for event in job.events if event.at_ms < run.until_ms and run.takes(event))
    return max(said, default=run.started.at_ms)


def begun_again_ms(history: History) -> list[float]:
    """Of each run that ended with its worker: how long after that the job was begun again, by the workers' journals."""
    gone = [fault for fault in history.faults if fault.worker_id and fault.kind in GONE]
    found = []
    for job in history.jobs.values():
        for run, following in pairwise(job.runs):
            lost = [fault.at_ms for fault in gone if fault.worker_id == run.worker_id and run.finished is None]
            between = [at_ms for at_ms in lost if run.started.at_ms <= at_ms <= following.started.at_ms]
            found += [following.started.at_ms - at_ms for at_ms in between[:1]]
    return found


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
