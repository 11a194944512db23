"""What a history is made of: one event per thing that somebody saw, with its clock and who saw it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from harness.protocols import LOG_KINDS, EventKind, JobEvent, JobState, Mode
from harness.protocols.script import expectation_of
from harness.workers.journal import Entry, digest_of


class Source(StrEnum):
    """Who saw it. The checkers trust nobody alone: they hold what these say against each other."""

    CLIENT = "client"
    """A submitter or subscriber, on its side of the wire."""
    WORKER = "worker"
    """A worker process's own journal of what it ran."""
    API = "api"
    """What a request to the server was answered (the survey of states, the list of workers)."""
    REDIS = "redis"
    """The stack's `events` stream: its own account of what it did, in one total order."""
    MONITOR = "monitor"
    """The hub's broadcasts: its own account, in the order in which one monitor got them."""
    HARNESS = "harness"


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing seen. Only `at_ms`, `source` and `kind` are always there; each kind says which others it uses."""

    at_ms: float
    """ms since the epoch on the observer's clock, which never runs backwards within one source."""
    source: Source
    kind: EventKind
    by: str = ""
    """Which client, worker, server or nemesis."""
    job_id: str | None = None
    worker_id: str | None = None
    attempt: int = 0
    """The fencing token; 0 where the protocol has none."""
    priority: int = 0
    service: str = ""
    of: EventKind | None = None
    mode: Mode | None = None
    progress: float | None = None
    message: str | None = None
    error: str | None = None
    state: JobState | None = None
    entry: str = ""
    """The id that the observed system gave the event, where it has one (a stream's id)."""
    steps: tuple[float, ...] | None = None
    """With `submit`: the progress that the job's script reports, in order."""
    expects: EventKind | None = None
    """With `submit`: the ending that the script leads to when nobody interferes."""
    hangs: bool = False
    """With `submit`: the script never ends by itself."""
    max_retries: int | None = None
    running: tuple[str, ...] | None = None
    """With `worker_status`: the ids of the jobs it reports as running."""
    result: str = ""
    """With an end: a short digest of the job's result, where the observer has it."""
    pid: int = 0
    """With what a worker wrote: its process."""
    in_use: int = 0
    """With `started`: places of the worker that are taken, this one included."""
    services: tuple[str, ...] | None = None
    """With `serving`: what the worker takes; `*` for all."""
    places: int = 0
    """With `serving`: how many jobs it may run at once."""
    target: str = ""
    """With the harness's events: the process or link that it was done to."""
    note: str = ""


def log_event(event: JobEvent, source: Source, by: str, now_ms: float) -> HistoryEvent:
    """An entry of the system's own account. Redis's has Redis's time; a monitor's counts from when it was received."""
    at_ms = now_ms
    if source is Source.REDIS and event.at is not None:
        at_ms = round(event.at * 1000, 3)  # whole ms that were made seconds are whole again
    names = ("kind", "job_id", "worker_id", "attempt", "priority", "service", "progress", "message", "error")
    told = {name: getattr(event, name) for name in names}
    return HistoryEvent(at_ms=at_ms, source=source, by=by, entry=event.event_id, result=_digest(event), **told)


def journal_event(entry: Entry) -> HistoryEvent:
    """A line of a worker's journal."""
    told = msgspec.structs.asdict(entry)
    worker, job, services = told.pop("worker"), told.pop("job") or None, told.pop("services") or None
    return HistoryEvent(source=Source.WORKER, by=worker, worker_id=worker, job_id=job, services=services, **told)


def client_event(event: JobEvent, by: str, now_ms: float) -> HistoryEvent | None:
    """What a client asked for or received (see `harness.clients.sessions`); None where it is about no job."""
    if not event.job_id and event.kind is not EventKind.GAP:
        return None
    seen = HistoryEvent(
        at_ms=now_ms,
        source=Source.CLIENT,
        kind=event.kind,
        by=by,
        job_id=event.job_id or None,
        priority=event.priority,
        service=event.service,
        mode=event.mode,
        error=event.error,
        entry=event.event_id,
    )
    changes: dict[str, Any] = {}
    if event.kind in LOG_KINDS:
        told: dict[str, Any] = {"worker_id": event.worker_id, "attempt": event.attempt, "progress": event.progress}
        told["result"] = _digest(event)
        changes = {"kind": EventKind.DELIVERED, "of": event.kind, "priority": 0, "service": "", **told}
    elif event.kind is EventKind.SUBMIT:
        expected = expectation_of(event.details)
        at_ms = now_ms if event.at is None else event.at * 1000
        changes = {"at_ms": at_ms, "steps": expected.steps, "expects": expected.end, "hangs": expected.hangs}
    elif event.kind is EventKind.STATUS:
        changes = {"source": Source.API, "state": event.state}
    elif event.kind is EventKind.GAP:
        changes = {"note": (event.message or "")[:200]}
    return msgspec.structs.replace(seen, **changes)


def _digest(event: JobEvent) -> str:
    """Of the result, where it came with the event."""
    completed = event.kind is EventKind.COMPLETED and event.result is not None
    return digest_of(event.result) if completed else ""
