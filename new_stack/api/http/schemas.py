"""What the hub's messages and its REST share: a job's status object, payloads, and texts."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from new_stack.queue.jobs import Job, JobState

CLEARED: Final = "Job failure history cleared. Job can now be assigned to any worker."


def payload_of(raw: Raw) -> Raw | None:
    """An object as it came; a text as the hub stores it: the object that it is the JSON of, or wrapped in one.

    None for any other JSON.
    """
    first = bytes(raw).lstrip()[:1]
    if first == b"{":
        return raw
    if first != b'"':
        return None
    text = msgspec.json.decode(raw, type=str)
    try:
        msgspec.json.decode(text, type=dict[str, Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return Raw(msgspec.json.encode({"raw_payload": text}))
    return Raw(text.encode())


def hub_view(job: Job) -> dict[str, Any]:
    """The status object of a job as the hub writes it: times are seconds as text."""
    position = job.position or None
    return {
        "job_id": job.id,
        "status": job.state,
        "job_type": job.service_required,
        "client_id": job.client_id,
        "worker_id": job.worker_id,
        "created_at": str(job.created_at / 1000),
        "claimed_at": None if job.claimed_at is None else str(job.claimed_at / 1000),
        "completed_at": str((job.ended_at or 0) / 1000) if job.state is JobState.COMPLETED else None,
        "position": None if position is None else position - 1,
        "display_position": position,
        "progress": job.progress,
        "result": job.result,
        "error": job.error,
        "position_description": _position_description(position),
        "payload": job.payload,
        "failures": job.failures or None,
    }


def _position_description(position: int | None) -> str | None:
    """The place among the pending jobs in words, as the hub puts it."""
    if position is None:
        return None
    ahead = position - 1
    if ahead <= 0:
        return "Next in queue"
    return "1 job ahead in queue" if ahead == 1 else f"{ahead} jobs ahead in queue"


def plain_number(value: float | None) -> float | int | None:
    """A progress as its worker sent it: 10, not 10.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
