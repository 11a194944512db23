"""Events of a job's life and the job itself, as the frames that a legacy client knows."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from new_stack.api.legacy.frames import (
    Frame,
    JobCompleted,
    JobFailed,
    JobProgress,
    JobStatus,
    plain_number,
)
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job, JobState

CLEARED: Final = "Job failure history cleared. Job can now be assigned to any worker."


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
            return cancelled_frame(event.job_id, event.message, now)
        case EventKind.RETRIED:
            return JobStatus(timestamp=now, job_id=event.job_id, status="pending", message=CLEARED)
    return None


def cancelled_frame(job_id: str, reason: str | None, now: float) -> JobStatus:
    """The word that a job was cancelled."""
    return JobStatus(timestamp=now, job_id=job_id, status="cancelled", message=f"Job cancelled: {reason or ''}")


def status_frame(job: Job, now: float) -> JobStatus:
    """The answer to `request_job_status`."""
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


def nothing_to_clear(job: Job) -> str:
    """Why a retry by hand changed nothing: the hub's words, or that the stack retries by itself."""
    if job.failures and not job.state.ended:
        return f"Job has failed {job.failures} times and is retried by itself: there is nothing to clear."
    return "Job has no failure history to clear."


def ending_frame(job: Job) -> Frame | None:
    """The last frame of a job that has ended, for one who came too late to hear it; None while it goes on."""
    at = (job.ended_at or job.created_at) / 1000
    match job.state:
        case JobState.COMPLETED:
            return JobCompleted(timestamp=at, job_id=job.id, worker_id=job.worker_id, result=job.result)
        case JobState.FAILED:
            return JobFailed(timestamp=at, job_id=job.id, worker_id=job.worker_id, error=job.error or "unknown error")
        case JobState.CANCELLED:
            return cancelled_frame(job.id, job.cancel_reason, at)
    return None


def for_monitor(frame: Frame, client_id: str | None) -> dict[str, Any]:
    """The same frame as monitors see it, with the client whose job it is."""
    members: dict[str, Any] = msgspec.structs.asdict(frame)
    return {"type": frame.__struct_config__.tag} | members | {"client_id": client_id}
