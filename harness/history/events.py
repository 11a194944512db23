"""What a history is made of: one event per thing that somebody saw, with its clock and who saw it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from harness.protocols import EventKind, JobEvent, JobState, Mode


class Source(StrEnum):
    """Who saw it. The checkers trust nobody alone: they hold what these say against each other."""

    CLIENT = "client"
    """A submitter or subscriber, on its side of the wire."""
    WORKER = "worker"
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
    """With `worker_status`: the ids of the jobs it says it runs."""
    target: str = ""
    """With the harness's events: the process or link that it was done to."""
    note: str = ""


def told_by_system(event: JobEvent, at_ms: float, source: Source, by: str) -> HistoryEvent:
    """An entry of the system's own account (`source` is REDIS or MONITOR)."""
    return HistoryEvent(
        at_ms=at_ms,
        source=source,
        kind=event.kind,
        by=by,
        job_id=event.job_id,
        worker_id=event.worker_id,
        attempt=event.attempt,
        priority=event.priority,
        service=event.service,
        progress=event.progress,
        message=event.message,
        error=event.error,
        entry=event.event_id,
    )


def delivered(event: JobEvent, at_ms: float, by: str) -> HistoryEvent:
    """What a client was told of a job that it follows."""
    return HistoryEvent(
        at_ms=at_ms,
        source=Source.CLIENT,
        kind=EventKind.DELIVERED,
        by=by,
        of=event.kind,
        job_id=event.job_id,
        worker_id=event.worker_id,
        attempt=event.attempt,
        progress=event.progress,
        error=event.error,
        entry=event.event_id,
    )
