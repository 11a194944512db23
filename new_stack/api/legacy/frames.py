"""The messages that the hub sends to clients and monitors: their exact fields, absent ones written as null."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw


class Frame(msgspec.Struct, kw_only=True, frozen=True, tag_field="type"):
    """A message to a legacy connection; `type` is its tag."""

    timestamp: float


class ConnectionEstablished(Frame, tag="connection_established", frozen=True):
    """The greeting."""

    message: str


class JobAccepted(Frame, tag="job_accepted", frozen=True):
    """The answer to `submit_job`; `position` is 1-based among pending jobs of that type."""

    job_id: str
    status: str
    position: int
    estimated_start: float | None = None
    notified_workers: int = 0


class JobStatus(Frame, tag="response_job_status", frozen=True):
    """How a job stands, asked or unasked (claimed, cancelled). `started_at` is never set."""

    job_id: str
    status: str
    progress: float | int | None = None
    worker_id: str | None = None
    started_at: float | None = None
    completed_at: float | None = None
    result: Raw | None = None
    message: str | None = None


class JobProgress(Frame, tag="update_job_progress", frozen=True):
    """One step of a running job."""

    job_id: str
    worker_id: str | None
    progress: float | int
    status: str
    message: str | None
    connector_details: dict[str, Any] | None


class JobCompleted(Frame, tag="complete_job", frozen=True):
    """The job is done."""

    job_id: str
    worker_id: str | None
    result: Raw | None


class JobFailed(Frame, tag="fail_job", frozen=True):
    """An attempt failed, whether or not another one follows."""

    job_id: str
    worker_id: str | None
    error: str


class SubscriptionConfirmed(Frame, tag="subscription_confirmed", frozen=True):
    """The answer to a subscription."""

    job_id: str
    monitor_id: str | None = None
    channels: list[Any] | None = None


class Error(Frame, tag="error", frozen=True):
    """A message that could not be served. The connection stays open."""

    error: str
    details: Any = None


class StayAliveResponse(Frame, tag="stay_alive_response", frozen=True):
    """A monitor's keep-alive, answered."""


class Ack(Frame, tag="ack", frozen=True):
    """Follows some of a monitor's messages and names the one it follows."""

    message_id: str
    original_id: str
    original_type: str


class WorkerStatus(Frame, tag="worker_status", frozen=True):
    """A worker says how it is."""

    message_id: str
    worker_id: str
    status: str
    capabilities: dict[str, Any] | None = None
    connector_statuses: dict[str, Any] | None = None


class BareError(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="error"):
    """An error as the hub writes it to monitors, and to whoever shows a wrong token: no timestamp."""

    error: str


class BareSubscriptionConfirmed(
    msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="subscription_confirmed"
):
    """The first of the two answers to a monitor's `subscribe`."""

    channels: list[Any]


INVALID_TOKEN = BareError(error="Authentication failed: Invalid token")

encode = msgspec.json.Encoder().encode


def greeting(role: str, name: str, now: float) -> ConnectionEstablished:
    """The hub's welcome; `role` is Client or Monitor."""
    return ConnectionEstablished(timestamp=now, message=f"Welcome {role} {name}! Connected to Redis Hub")


def plain_number(value: float | None) -> float | int | None:
    """A progress as its worker sent it: 10, not 10.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
