"""The hub's dialect of clients: its frames with their exact fields, absent ones written as null, and its two tables.

Monitors get the same frames of jobs, with `client_id` added.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from new_stack.api.http.http_io import encode
from new_stack.api.http.schemas import CLEARED, plain_number
from new_stack.api.legacy.dialect import Action, Dialect
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job, JobState, Submission


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


class BareError(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="error"):
    """An error as the hub writes it to monitors, and to whoever shows a wrong token: no timestamp."""

    error: str


class BareSubscriptionConfirmed(
    msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="subscription_confirmed"
):
    """The first of the two answers to a monitor's `subscribe`."""

    channels: list[Any]


INVALID_TOKEN = BareError(error="Authentication failed: Invalid token")


def greeting(role: str, name: str, now: float) -> ConnectionEstablished:
    """The hub's welcome; `role` is Client or Monitor."""
    return ConnectionEstablished(timestamp=now, message=f"Welcome {role} {name}! Connected to Redis Hub")


def event_frame(event: Event) -> Frame | None:  # noqa: PLR0911 - one branch for each kind
    """The one frame that a subscriber gets for an event; None for what the hub keeps to itself."""
    now = event.at / 1000
    match event.kind:
        case EventKind.CLAIMED:
            return JobStatus(timestamp=now, job_id=event.job_id, status="processing", worker_id=event.worker_id)
        case EventKind.PROGRESS:
            return JobProgress(
                timestamp=now,
                job_id=event.job_id,
                worker_id=event.worker_id,
                progress=plain_number(event.progress) or 0,
                status=event.status or "processing",
                message=event.message,
                connector_details=event.details,
            )
        case EventKind.COMPLETED:
            return JobCompleted(timestamp=now, job_id=event.job_id, worker_id=event.worker_id, result=event.result)
        case EventKind.ATTEMPT_FAILED | EventKind.FAILED:
            return JobFailed(
                timestamp=now, job_id=event.job_id, worker_id=event.worker_id, error=event.error or "unknown error"
            )
        case EventKind.CANCELLED:
            return _cancelled(event.job_id, event.message, now)
        case EventKind.RETRIED:
            return JobStatus(timestamp=now, job_id=event.job_id, status="pending", message=CLEARED)
    return None


def monitor_text(event: Event) -> str:
    """The same frame as monitors see it, with the client whose job it is; empty where there is none."""
    frame = event_frame(event)
    if frame is None:
        return ""
    members: dict[str, Any] = msgspec.structs.asdict(frame)
    return encode({"type": frame.__struct_config__.tag} | members | {"client_id": event.client_id}).decode()


def _cancelled(job_id: str, reason: str | None, now: float) -> JobStatus:
    return JobStatus(timestamp=now, job_id=job_id, status="cancelled", message=f"Job cancelled: {reason or ''}")


def _accepted(submission: Submission, _message_id: object, now: float) -> Frame:
    return JobAccepted(
        timestamp=now, job_id=submission.job_id, status=submission.state.value, position=submission.position
    )


def _status(job: Job, now: float) -> Frame:
    completed = job.state is JobState.COMPLETED
    return JobStatus(
        timestamp=now,
        job_id=job.id,
        status=job.state.value,
        progress=plain_number(job.progress),
        worker_id=job.worker_id,
        completed_at=job.ended_at / 1000 if completed and job.ended_at is not None else None,
        result=job.result,
        message=f"Job cancelled: {job.cancel_reason}" if job.state is JobState.CANCELLED else job.status_message,
    )


def _retried(job: Job, message: str, now: float) -> Frame:
    return JobStatus(timestamp=now, job_id=job.id, status=job.state.value, worker_id=job.worker_id, message=message)


def _not_retried(job: Job, now: float) -> Frame:
    """A job that failed before runs again by itself: its history keeps no worker from it, so the hub's text holds."""
    return _retried(job, CLEARED if job.failures else "Job has no failure history to clear.", now)


HUB: Final = Dialect(
    actions={
        "submit_job": Action.SUBMIT,
        "request_job_status": Action.STATUS,
        "subscribe_job": Action.SUBSCRIBE,
        "cancel_job": Action.CANCEL,
        "force_retry_job": Action.RETRY,
        "stay_alive": Action.ALIVE,
        "subscribe_stats": Action.SUBSCRIBE_STATS,
        "sync_job_state": Action.SYNC,
    },
    refused={"request_stats": "Stats requests are restricted to monitors only"},
    id_field="message_id",
    follows_own_jobs=True,
    greeting=lambda name, now: greeting("Client", name, now),
    accepted=_accepted,
    status=_status,
    subscribed=lambda job_id, now: SubscriptionConfirmed(timestamp=now, job_id=job_id),
    stats_subscribed=lambda now: SubscriptionConfirmed(timestamp=now, job_id="stats", channels=["stats"]),
    cancelled=lambda job, now: _cancelled(job.id, job.cancel_reason, now),
    retried=lambda job, now: _retried(job, CLEARED, now),
    not_retried=_not_retried,
    alive=lambda now: JobStatus(
        timestamp=now, job_id="keep-alive", status="acknowledged", message="Connection is alive"
    ),
    error=lambda sentence, _message_id, now: Error(timestamp=now, error=sentence),
    event=event_frame,
)
