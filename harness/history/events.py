"""What a history is made of: one event per thing that somebody saw, with its clock and who saw it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


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


class Kind(StrEnum):
    """What was seen."""

    # the system's own account, in its order (the same words as the stack's events)
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
    # clients
    SUBMIT = "submit"
    """A submission leaves its client."""
    ACKED = "acked"
    """The submission was answered with the job's id: from here on the job is owed."""
    REFUSED = "refused"
    CANCEL = "cancel"
    CANCEL_ACKED = "cancel_acked"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    DELIVERED = "delivered"
    """A subscriber got an update; `of` says of what kind."""
    GAP = "gap"
    """Whoever reads was told that something is missing from here on back."""
    # workers and server, asked
    STARTED = "started"
    """A worker began the work itself."""
    STATUS = "status"
    """The server was asked for a job's state."""
    WORKER_STATUS = "worker_status"
    """The server was asked which jobs a worker runs."""
    # harness
    KILLED = "killed"
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
    SETTLED = "settled"
    """The harness stopped waiting for jobs to end; what is not ended now is judged."""


LOG_KINDS: Final = frozenset(
    {
        Kind.SUBMITTED,
        Kind.CLAIMED,
        Kind.PROGRESS,
        Kind.COMPLETED,
        Kind.ATTEMPT_FAILED,
        Kind.FAILED,
        Kind.CANCELLED,
        Kind.RELEASED,
        Kind.LEASE_EXPIRED,
        Kind.RETRIED,
    }
)
ENDINGS: Final = frozenset({Kind.COMPLETED, Kind.FAILED, Kind.CANCELLED})
LETS_GO: Final = ENDINGS | {Kind.ATTEMPT_FAILED, Kind.RELEASED, Kind.LEASE_EXPIRED}
"""After one of these nobody holds the job."""


class State(StrEnum):
    """A job's state as the server tells it; `unknown` where it says that there is no such job."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


ENDED: Final = {State.COMPLETED: Kind.COMPLETED, State.FAILED: Kind.FAILED, State.CANCELLED: Kind.CANCELLED}


class Mode(StrEnum):
    """What a subscriber is owed."""

    WHOLE = "whole"
    """Every update of the job from its beginning (SSE; the submitter itself)."""
    LIVE = "live"
    """What happens from its subscription on (a second client on the legacy protocol)."""


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing seen. Only `at_ms`, `source` and `kind` are always there; each kind says which others it uses."""

    at_ms: float
    """ms since the epoch on the observer's clock, which never runs backwards within one source."""
    source: Source
    kind: Kind
    by: str = ""
    """Which client, worker, server or nemesis."""
    job_id: str | None = None
    worker_id: str | None = None
    attempt: int = 0
    """The fencing token; 0 where the protocol has none."""
    priority: int = 0
    service: str = ""
    of: Kind | None = None
    mode: Mode | None = None
    progress: float | None = None
    message: str | None = None
    error: str | None = None
    state: State | None = None
    entry: str = ""
    """The id that the observed system gave the event, where it has one (a stream's id)."""
    steps: tuple[float, ...] | None = None
    """With `submit`: the progress that the job's script reports, in order."""
    expects: Kind | None = None
    """With `submit`: the ending that the script leads to when nobody interferes."""
    hangs: bool = False
    """With `submit`: the script never ends by itself."""
    max_retries: int | None = None
    running: tuple[str, ...] | None = None
    """With `worker_status`: the ids of the jobs it says it runs."""
    target: str = ""
    """With the harness's events: the process or link that it was done to."""
    note: str = ""
