"""The events of a job's life, as they stand in the streams `events:{id}` and `events`."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final

import msgspec


class EventKind(StrEnum):
    """What happened. The same word everywhere: stream, SSE `event:` field, history, docs."""

    SUBMITTED = "submitted"
    CLAIMED = "claimed"
    PROGRESS = "progress"
    COMPLETED = "completed"
    ATTEMPT_FAILED = "attempt_failed"
    """This attempt failed and the job will run again."""
    FAILED = "failed"
    """The job failed for good."""
    CANCELLED = "cancelled"
    RELEASED = "released"
    LEASE_EXPIRED = "lease_expired"
    RETRIED = "retried"
    """Somebody made an ended job pending again by hand."""
    LOG = "log"
    """A line of its log."""
    SERVICE_REQUEST = "service_request"
    """Its worker asks its back end for something; in the stream of all jobs only."""
    STATE = "state"
    """Somebody wants monitors to be told how the job stands; in the stream of all jobs only."""


ENDINGS: Final = frozenset({EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELLED})
"""After one of these a job's stream has no further events, unless the job is retried by hand."""


_ID: Final = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?")
ID_LIMIT: Final = 2**64

StreamId = tuple[int, int]


def parse_id(text: str) -> StreamId | None:
    """The id of a stream's entry as two numbers that sort; None where the text is none."""
    match = _ID.fullmatch(text)
    if match is None:
        return None
    ms, sequence = int(match[1]), int(match[2] or 0)
    return (ms, sequence) if ms < ID_LIMIT and sequence < ID_LIMIT else None


FOR_MONITORS: Final = frozenset({EventKind.SERVICE_REQUEST, EventKind.STATE})
"""Those that a job's own followers are not told."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `id` is the entry's id, the same in both streams; `at` is ms since the epoch by Redis's clock."""

    id: str
    kind: EventKind
    job_id: str
    at: int
    service_required: str
    priority: int
    client_id: str | None = None
    attempt: int = 0
    worker_id: str | None = None
    progress: float | None = None
    status: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None
    result: msgspec.Raw | None = None
    result_omitted: bool = False
    """The result is too large to travel with the event: read it from the job."""
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None
