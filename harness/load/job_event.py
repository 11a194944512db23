"""What a client or a monitor hears of a job, in one vocabulary for both protocols."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Kind(StrEnum):
    """What happened to a job, as its observer was told."""

    ACCEPTED = "accepted"
    CLAIMED = "claimed"
    PROGRESS = "progress"
    COMPLETED = "completed"
    ATTEMPT_FAILED = "attempt_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    """Back in the line without a failure: its worker was lost, or handed it back."""


ENDINGS: Final = frozenset({Kind.COMPLETED, Kind.FAILED, Kind.CANCELLED})


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing heard. Times are seconds since the epoch."""

    kind: Kind
    job_id: str
    at: float | None = None
    """When it happened by the server's or Redis's clock, as the message itself says."""
    told_at: float | None = None
    """When the worker sent it, as the worker wrote into the message: progress only."""
    worker_id: str | None = None
    progress: float | None = None
    attempt: int | None = None
    error: str | None = None
