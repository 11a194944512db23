"""The legacy WebSocket protocol: what a load's clients say, and what the frames they get mean."""

from __future__ import annotations

from typing import Any, Final

from harness.load.job_event import Kind, News
from harness.load.wire.stamp import told_at

_STATUS = {
    "processing": Kind.CLAIMED,
    "claimed": Kind.CLAIMED,
    "completed": Kind.COMPLETED,
    "failed": Kind.FAILED,
    "cancelled": Kind.CANCELLED,
}

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
"""The status words of a job that has ended."""


def submit(job_id: str, service: str, payload: dict[str, Any], priority: int, at: float) -> dict[str, Any]:
    """The frame that submits a job under an id of the client's own choice."""
    return {
        "type": "submit_job",
        "message_id": job_id,
        "job_type": service,
        "priority": priority,
        "payload": payload,
        "timestamp": at,
    }


def ask_status(job_id: str, at: float) -> dict[str, Any]:
    """The frame that asks where a job stands."""
    return {"type": "request_job_status", "job_id": job_id, "timestamp": at}


def subscribe(job_id: str, at: float) -> dict[str, Any]:
    """The frame that asks for a job's updates (after a reconnect)."""
    return {"type": "subscribe_job", "job_id": job_id, "timestamp": at}


def news_of(frame: dict[str, Any]) -> News | None:
    """What a frame says of a job's life; None where it says nothing of it (greetings, statistics, errors).

    A failed attempt and the last failure are the same message here (PROTOCOL: `fail_job` on each failed attempt), so
    it is news of an attempt; the end shows in a later status.
    """
    job_id = frame.get("job_id")
    if not isinstance(job_id, str):
        return None
    kind = _kind_of(frame)
    if kind is None:
        return None
    error = frame.get("error")
    return News(
        kind=kind,
        job_id=job_id,
        at=_seconds(frame.get("timestamp")),
        told_at=told_at(frame.get("connector_details")),
        worker_id=frame.get("worker_id"),
        progress=frame.get("progress") if kind is Kind.PROGRESS else None,
        error=str(error) if error else None,
    )


def _kind_of(frame: dict[str, Any]) -> Kind | None:
    match frame.get("type"):
        case "job_accepted":
            return Kind.ACCEPTED
        case "update_job_progress":
            return Kind.PROGRESS
        case "complete_job":
            return Kind.COMPLETED
        case "fail_job":
            return Kind.ATTEMPT_FAILED
        case "response_job_status":
            return _STATUS.get(str(frame.get("status")))
    return None


def status_of(frame: dict[str, Any]) -> tuple[str, str] | None:
    """(job id, status word) where the frame answers `ask_status`; an error that names a job answers "unknown"."""
    if frame.get("type") == "response_job_status" and isinstance(frame.get("job_id"), str):
        return frame["job_id"], str(frame.get("status"))
    text = str(frame.get("error") or "") if frame.get("type") == "error" else ""
    if text.startswith("Job ") and text.endswith(" not found"):
        return text.removeprefix("Job ").removesuffix(" not found"), "unknown"
    return None


def _seconds(stamp: object) -> float | None:
    return float(stamp) if isinstance(stamp, int | float) else None
