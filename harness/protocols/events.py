"""What can happen to a job, in words that belong to no protocol. Every translation in the harness ends here."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec


class EventKind(StrEnum):
    """What happened. The first group are the words of the stack's own events."""

    # the life of a job, as the system reports it
    SUBMITTED = "submitted"
    CLAIMED = "claimed"
    PROGRESS = "progress"
    COMPLETED = "completed"
    ATTEMPT_FAILED = "attempt_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    LEASE_EXPIRED = "lease_expired"
    RETRIED = "retried"
    # what a client asks for and is answered
    SUBMIT = "submit"
    """A submission leaves its client."""
    ACCEPTED = "accepted"
    """The submission was answered with the job's id: from here on the job is owed."""
    REFUSED = "refused"
    CANCEL = "cancel"
    CANCEL_ACCEPTED = "cancel_accepted"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    DELIVERED = "delivered"
    """A subscriber got an update; in a history `of` has its kind."""
    GAP = "gap"
    """The server reported to a reader that earlier events are missing."""
    # workers and server, asked
    SERVING = "serving"
    """A worker process states which services it takes and how many places it has."""
    STARTED = "started"
    """A worker began the work itself."""
    STEPPED = "stepped"
    """A worker reached a step of the work."""
    FINISHED = "finished"
    """A worker's run of a job is over; in a history `of` says how."""
    POISONED = "poisoned"
    """The work kills its worker's process next."""
    STATUS = "status"
    """The server was asked for a job's state."""
    WORKER_STATUS = "worker_status"
    """The server was asked which jobs a worker runs."""
    # what the harness does
    KILLED = "killed"
    """By the harness. It excuses what its victim leaves undone."""
    CRASHED = "crashed"
    """A process ended on its own: it excuses nothing."""
    TERMINATED = "terminated"
    STOPPED = "stopped"
    CONTINUED = "continued"
    UP = "up"
    """A process is (again) ready."""
    REDIS_DOWN = "redis_down"
    REDIS_UP = "redis_up"
    CUT = "cut"
    SLOWED = "slowed"
    PARTITIONED = "partitioned"
    HEALED = "healed"
    SLOW_READER = "slow_reader"
    BROWN_OUT = "brown_out"
    """The hub's protocols are refused for a while, by the stack's own configuration."""
    BROWN_OUT_OVER = "brown_out_over"
    SETTLED = "settled"
    """The harness stopped waiting for jobs to end; what is not ended now is judged."""


LOG_KINDS: Final = frozenset(
    {
        EventKind.SUBMITTED,
        EventKind.CLAIMED,
        EventKind.PROGRESS,
        EventKind.COMPLETED,
        EventKind.ATTEMPT_FAILED,
        EventKind.FAILED,
        EventKind.CANCELLED,
        EventKind.RELEASED,
        EventKind.LEASE_EXPIRED,
        EventKind.RETRIED,
    }
)
"""What the system itself reports of a job's life."""
ENDS: Final = frozenset({EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELLED})
ATTEMPT_ENDS: Final = ENDS | {EventKind.ATTEMPT_FAILED, EventKind.RELEASED, EventKind.LEASE_EXPIRED}
"""After one of these no worker holds the job."""


class JobState(StrEnum):
    """A job's state as the server reports it; `unknown` where it knows no such job."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


ENDED_STATES: Final = {
    JobState.COMPLETED: EventKind.COMPLETED,
    JobState.FAILED: EventKind.FAILED,
    JobState.CANCELLED: EventKind.CANCELLED,
}


class Mode(StrEnum):
    """What a subscriber is owed."""

    WHOLE = "whole"
    """Every update of the job from its beginning (SSE; the submitter itself)."""
    LIVE = "live"
    """What happens from its subscription on (a second client on the legacy protocol)."""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a frame or a server-sent event reports. Times are seconds since the epoch.

    What the protocol does not report is None, "" or 0.
    """

    kind: EventKind
    job_id: str = ""
    """Empty only where no job is meant (a gap in the stream of all jobs)."""
    at: float | None = None
    """When it happened, by the server's or Redis's clock; what a client asks for, by the client's."""
    sent_at: float | None = None
    """When the worker sent it, by the worker's clock: progress of a script step with `stamp`."""
    worker_id: str | None = None
    attempt: int = 0
    """The fencing token; 0 where the protocol has none."""
    progress: float | None = None
    status: str | None = None
    """The worker's own word beside its progress."""
    message: str | None = None
    """Text beside the progress; the reason of a cancellation; the server's text about a gap."""
    error: str | None = None
    details: Any = None
    """What the connector added to its progress; with `submit`, the payload."""
    result: Any = None
    service: str = ""
    priority: int = 0
    mode: Mode | None = None
    """With `subscribed`."""
    state: JobState | None = None
    """With `status`."""
    event_id: str = ""
    """The id that the server gave the event, where it has one: what a reader resumes from."""


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the server answers to the question how a job stands."""

    job_id: str
    state: JobState
    worker_id: str | None = None
    result: Any = None

    @property
    def end(self) -> EventKind | None:
        """The end that the job has come to, or None."""
        return ENDED_STATES.get(self.state)


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A job to submit."""

    service: str = "simulation"
    payload: Any = None
    priority: int = 0
    job_id: str | None = None
    """The id that the client chooses; None leaves it to the server."""
    max_retries: int | None = None
    """How many failures are followed by another attempt; None leaves it to the server. Only a stack is asked it."""


class HttpRequest(msgspec.Struct, frozen=True):
    """An action that is an HTTP request."""

    method: str
    path: str
    body: dict[str, Any] | list[Any] | None = None
