"""What a client's message asks for, in whichever dialect it was said: before anything is done."""

from __future__ import annotations

import msgspec

from new_stack.queue.jobs import NewJob


class Submit(msgspec.Struct, frozen=True):
    """Submit this job, under its own id or, where it has none, under one that the server chooses."""

    job: NewJob
    message_id: str | None = None


class AskStatus(msgspec.Struct, frozen=True):
    """Say how a job stands."""

    job_id: str


class Subscribe(msgspec.Struct, frozen=True):
    """Tell this connection of a job's events."""

    job_id: str


class Unsubscribe(msgspec.Struct, frozen=True):
    """Tell this connection no more of a job's events."""

    job_id: str


class Cancel(msgspec.Struct, frozen=True):
    """End a job as cancelled."""

    job_id: str
    reason: str


class ForceRetry(msgspec.Struct, frozen=True):
    """Let a job run again, its failures forgotten."""

    job_id: str


class StayAlive(msgspec.Struct, frozen=True):
    """Say that the connection is alive."""


class SubscribeStats(msgspec.Struct, frozen=True):
    """Confirm; the hub never sends anything for it."""


Action = Submit | AskStatus | Subscribe | Unsubscribe | Cancel | ForceRetry | StayAlive | SubscribeStats
