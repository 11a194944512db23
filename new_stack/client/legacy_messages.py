"""The legacy hub's messages as the client's own types, both ways. No I/O."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from new_stack.client.errors import Conflict, RequestRefused, UnknownJob
from new_stack.client.types import Accepted, EventKind, JobEvent, JobOrder, JobState, JobStatus

Message = dict[str, Any]

_CANCELLED: Final = "Job cancelled: "


def submit_message(order: JobOrder) -> Message:
    """`submit_job`; its `message_id` becomes the job's id."""
    message = order.body() | {"type": "submit_job", "message_id": order.id, "job_type": order.service_required}
    return {name: value for name, value in message.items() if name not in {"id", "service_required", "client_id"}}


def accepted(message: Message) -> Accepted:
    """`job_accepted`."""
    return Accepted(
        job_id=message["job_id"], status=JobState(message.get("status", "pending")), position=message.get("position")
    )


def status(message: Message) -> JobStatus:
    """The answer to `request_job_status`, `cancel_job` or `force_retry_job`."""
    text = str(message.get("message") or "")
    cancelled = text.startswith(_CANCELLED)
    return JobStatus(
        job_id=message["job_id"],
        status=JobState(message["status"]),
        progress=message.get("progress"),
        worker_id=message.get("worker_id"),
        result=message.get("result"),
        status_message=None if cancelled else text or None,
        cancel_reason=text.removeprefix(_CANCELLED) if cancelled else None,
    )


def event(message: Message) -> JobEvent | None:  # noqa: PLR0911 - one branch for each message
    """The event in a message; None where it is none. `fail_job` does not say whether the job runs again."""
    job_id = message.get("job_id")
    if not isinstance(job_id, str):
        return None
    worker_id = message.get("worker_id")
    match message.get("type"):
        case "job_accepted":
            return JobEvent(kind=EventKind.SUBMITTED, job_id=job_id)
        case "response_job_status" if message.get("status") == "processing":
            return JobEvent(kind=EventKind.CLAIMED, job_id=job_id, worker_id=worker_id)
        case "response_job_status" if message.get("status") == "cancelled":
            reason = str(message.get("message") or "").removeprefix(_CANCELLED)
            return JobEvent(kind=EventKind.CANCELLED, job_id=job_id, message=reason or None)
        case "update_job_progress":
            return JobEvent(
                kind=EventKind.PROGRESS,
                job_id=job_id,
                worker_id=worker_id,
                progress=message.get("progress"),
                status=message.get("status"),
                message=message.get("message"),
                details=message.get("connector_details"),
            )
        case "complete_job":
            result = message.get("result")
            return JobEvent(kind=EventKind.COMPLETED, job_id=job_id, worker_id=worker_id, result=result)
        case "fail_job":
            error = message.get("error")
            return JobEvent(kind=EventKind.ATTEMPT_FAILED, job_id=job_id, worker_id=worker_id, error=error)
    return None


def end_event(job: JobStatus) -> JobEvent | None:
    """The end of a job as an event, for a follower that missed it; None while the job goes on."""
    if not job.ended:
        return None
    return JobEvent(
        kind=EventKind(job.status.value),
        job_id=job.job_id,
        worker_id=job.worker_id,
        message=job.cancel_reason,
        result=job.result,
        error=job.error,
    )


def refusal(message: Message) -> RequestRefused:
    """An `error` message."""
    sentence = str(message.get("error") or "the server refused without a reason")
    if "not found" in sentence or "does not exist" in sentence:
        return UnknownJob(sentence)
    if "terminal state" in sentence or "exists already" in sentence:
        return Conflict(sentence)
    return RequestRefused(sentence)


def decode(text: str) -> Message | None:
    """A message, or None where the text is none."""
    try:
        message = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    return message if isinstance(message.get("type"), str) else None
