"""Jobs and events in the words of the universal client of the first new stack, over WebSockets, HTTP and SSE."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from new_stack.api.http.schemas import CLEARED, plain_number
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job, JobState


def iso(ms: float) -> str:
    """A time as ISO 8601 text."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_document(job: Job, time: Callable[[int], Any]) -> dict[str, Any]:
    """A job as servers of the later dialect showed it; `time` writes ms since the epoch the way the reader knows."""
    claimed, ended = (None if at is None else time(at) for at in (job.claimed_at, job.ended_at))
    return {
        "id": job.id,
        "status": job.state,
        "service_required": job.service_required,
        "job_type": job.service_required,
        "priority": job.priority,
        "payload": job.payload,
        "client_id": job.client_id,
        "worker_id": job.worker_id,
        "progress": plain_number(job.progress),
        "message": job.status_message,
        "result": job.result,
        "error": job.error,
        "retry_count": job.failures,
        "max_retries": job.max_retries,
        "created_at": time(job.created_at),
        "assigned_at": claimed,
        "claimed_at": claimed,
        "ended_at": ended,
    }


def universal_job(job: Job) -> dict[str, Any]:
    """A job in the words of the first new stack's universal client, which knows five states: a cancelled job failed."""
    document = job_document(job, iso)
    cancelled = job.state is JobState.CANCELLED
    states = {JobState.CLAIMED: "assigned" if job.progress is None else "in_progress", JobState.CANCELLED: "failed"}
    extra = {} if job.extra is None else msgspec.json.decode(job.extra, type=dict[str, Raw])
    return (
        extra
        | document
        | {
            "status": states.get(job.state, job.state.value),
            "error": f"Job cancelled: {job.cancel_reason or ''}" if cancelled else job.error,
            "completed_at": document["ended_at"],
        }
    )


TEXT_LIMIT: Final = 65_536

PROGRESS_STATUS: Final[dict[EventKind, str]] = {
    EventKind.CLAIMED: "processing",
    EventKind.PROGRESS: "processing",
    EventKind.COMPLETED: "completed",
    EventKind.ATTEMPT_FAILED: "pending",
    EventKind.FAILED: "failed",
    EventKind.CANCELLED: "failed",
    EventKind.RETRIED: "pending",
}
"""The events that the universal client gets, all as `progress`. It takes `completed` and `failed` for the job's end."""


def progress_message(event: Event) -> dict[str, Any] | None:
    """An event as the `progress` of the universal client, its data text; None for one that it does not know."""
    status = PROGRESS_STATUS.get(event.kind)
    if status is None:
        return None
    if event.kind is EventKind.PROGRESS and event.status not in {"completed", "failed"}:
        status = event.status or status  # a step that its connector calls completed is not the end yet
    data: dict[str, str | None] = {"progress": "0", "status": status, "worker_id": event.worker_id}
    match event.kind:
        case EventKind.PROGRESS:
            data |= {"progress": str(plain_number(event.progress) or 0), "message": event.message}
        case EventKind.COMPLETED:
            data |= {"progress": "100", "result": _short_text(event.result)}
        case EventKind.ATTEMPT_FAILED | EventKind.FAILED:
            data |= {"error": event.error or "unknown error", "message": event.error or "unknown error"}
        case EventKind.CANCELLED:
            data["message"] = f"Job cancelled: {event.message or ''}"
        case EventKind.RETRIED:
            data["message"] = CLEARED
    known = {key: text for key, text in data.items() if text is not None}
    time = iso(event.at)
    return {"type": "progress", "job_id": event.job_id, "data": known | {"timestamp": time}, "timestamp": time}


def _short_text(result: Raw | None) -> str | None:
    """A result as text, beside itself; a large one would be held and sent twice."""
    return None if result is None or len(memoryview(result)) > TEXT_LIMIT else bytes(result).decode()
