"""The modern API: what a load's clients post, and what the events they get mean."""

from __future__ import annotations

from typing import Any

from harness.load.job_event import Kind, News
from harness.load.wire.stamp import told_at

_KINDS = {
    "submitted": Kind.ACCEPTED,
    "claimed": Kind.CLAIMED,
    "progress": Kind.PROGRESS,
    "completed": Kind.COMPLETED,
    "attempt_failed": Kind.ATTEMPT_FAILED,
    "failed": Kind.FAILED,
    "cancelled": Kind.CANCELLED,
    "released": Kind.RETURNED,
    "lease_expired": Kind.RETURNED,
}


def submission(job_id: str, service: str, payload: dict[str, Any], priority: int, client_id: str) -> dict[str, Any]:
    """The body that submits a job under an id of the client's own choice."""
    return {
        "id": job_id,
        "service_required": service,
        "payload": payload,
        "priority": priority,
        "client_id": client_id,
    }


def news_of(event: str, data: dict[str, Any]) -> News | None:
    """What a server-sent event says of a job's life; None where it says nothing of it (a gap, an unknown kind)."""
    kind = _KINDS.get(event)
    job_id = data.get("job_id")
    if kind is None or not isinstance(job_id, str):
        return None
    at = data.get("at")
    return News(
        kind=kind,
        job_id=job_id,
        at=at / 1000 if isinstance(at, int | float) else None,
        told_at=told_at(data.get("details")),
        worker_id=data.get("worker_id"),
        progress=data.get("progress") if kind is Kind.PROGRESS else None,
        attempt=data.get("attempt"),
        error=data.get("error"),
    )
