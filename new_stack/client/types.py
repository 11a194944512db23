"""What the client sends and receives: the same types over HTTP and over a WebSocket."""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, TypedDict

import msgspec

from new_stack.client.errors import RequestRefused


class JobState(StrEnum):
    """Where a job is."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the job does not run again unless somebody retries it by hand."""
        return self in {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}


class EventKind(StrEnum):
    """What happened to a job."""

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
    """Somebody queued an ended job again by hand."""
    LOG = "log"
    """A line of its log: `status` is the level."""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a job. `id` is the position in the job's stream, to be given as `after` later."""

    kind: EventKind
    job_id: str
    id: str | None = None
    at: int | None = None
    """Ms since the epoch."""
    service_required: str | None = None
    priority: int | None = None
    attempt: int | None = None
    worker_id: str | None = None
    client_id: str | None = None
    progress: float | None = None
    status: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None
    result: Any = None
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None

    @property
    def ending(self) -> bool:
        """Whether the job has ended with this."""
        return self.kind in {EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELLED}


class Deprecation(msgspec.Struct, frozen=True):
    """The server's notice that the hub's WebSocket goes: since when it is deprecated, and when it ends (ISO days)."""

    deprecated: str = ""
    sunset: str | None = None
    link: str | None = None
    message: str = ""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Events are missing here, and why: `trimmed`, `unknown`, `malformed`, `reconnected`."""

    job_id: str
    reason: str
    oldest: str | None = None
    """The oldest event that the server still has."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a job's log; `at` is ms since the epoch."""

    at: int
    level: str
    message: str


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a job. Over an old hub's WebSocket only the upper fields are known."""

    job_id: str
    status: JobState
    progress: float | None = None
    worker_id: str | None = None
    result: Any = None
    status_message: str | None = None
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None
    logs: tuple[LogLine, ...] = ()
    """The last lines of its log."""
    cancel_reason: str | None = None
    service_required: str | None = None
    payload: Any = None
    extra: dict[str, Any] | None = None
    """The submitter's own fields."""
    priority: int | None = None
    client_id: str | None = None
    attempt: int | None = None
    failures: int | None = None
    max_retries: int | None = None
    display_position: int | None = None
    created_at_ms: int | None = None
    claimed_at_ms: int | None = None
    ended_at_ms: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it does not run again by itself."""
        return self.status.ended

    @property
    def ok(self) -> bool:
        """Whether it completed."""
        return self.status is JobState.COMPLETED


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the server has taken."""

    job_id: str
    status: JobState
    position: int | None = None
    """1-based among the pending jobs of its service."""


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first, without payload, result, log and traceback; `cursor` asks for the next one."""

    jobs: tuple[JobStatus, ...]
    cursor: str | None = None


class OwnFields(TypedDict, total=False):
    """What the universal client of the first new stack could say of a job besides: kept with it and shown."""

    requirements: dict[str, Any]
    customer_id: str
    workflow_id: str
    workflow_priority: int
    workflow_datetime: int
    step_number: int


class JobOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as it is submitted. The id is always the client's: so a repeated request is the same job."""

    id: str
    service_required: str
    payload: dict[str, Any] = {}
    priority: int = 0
    client_id: str | None = None
    max_retries: int | None = None
    own: dict[str, Any] = {}
    """Fields of the submitter's own, which stand beside these."""

    def body(self) -> dict[str, Any]:
        """As it is submitted over HTTP. Raises ValueError where a field of its own has the name of one of these."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "own"}
        taken = sorted(fields.keys() & self.own.keys())
        if taken:
            raise ValueError(f"{taken[0]} is no field of your own: it has a meaning in every submission")
        return self.own | {name: value for name, value in fields.items() if value is not None}

    def check(self) -> None:
        """Raise RequestRefused where JSON cannot say what is in it, or would say another thing."""
        for field, value in (("payload", self.payload), *self.own.items()):
            try:
                written = msgspec.json.encode(value)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                raise _refused(field, f"cannot be written as JSON: {error}") from error
            if b"null" in written and (odd := next(_not_finite(value), None)) is not None:
                raise _refused(field, f"JSON has no {odd}")


def _refused(field: str, why: str) -> RequestRefused:
    return RequestRefused(f"{field}: {why}", fields=({"field": field, "message": why},))


def _not_finite(value: Any) -> Iterator[float]:
    """Infinities and what is no number, which are written as null."""
    if isinstance(value, float) and not math.isfinite(value):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _not_finite(part)
