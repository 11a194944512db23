"""From the words of Redis to the queue's types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job, JobState, Lease, WorkerInfo, WorkerReport


def pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    """A flat field, value, … reply as a mapping."""
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def text(value: bytes | None) -> str | None:
    """Text, or None where it is absent or empty."""
    return value.decode("utf-8", "replace") if value else None


def whole(value: bytes | None) -> int | None:
    """A whole number, or None."""
    return int(value) if value else None


def raw(value: bytes | None) -> msgspec.Raw | None:
    """Raw JSON, or None."""
    return msgspec.Raw(value) if value else None


def job_of(job_id: str, flat: Sequence[bytes]) -> Job | None:
    """A record; None where there is none, or one that makes no sense (the line has set it aside)."""
    fields = pairs(flat)
    try:
        return Job(
            id=job_id,
            state=JobState(fields["state"].decode()),
            service_required=fields["service_required"].decode("utf-8", "replace"),
            payload=msgspec.Raw(fields.get("payload", b"{}")),
            priority=int(fields["priority"]),
            client_id=text(fields.get("client_id")),
            max_retries=int(fields["max_retries"]),
            attempt=int(fields["attempt"]),
            failures=int(fields["failures"]),
            worker_id=text(fields.get("worker_id")),
            progress=float(fields["progress"]) if "progress" in fields else None,
            status_message=text(fields.get("status_message")),
            result=raw(fields.get("result")),
            error=text(fields.get("error")),
            cancel_reason=text(fields.get("cancel_reason")),
            created_at=int(fields["created_at"]),
            claimed_at=whole(fields.get("claimed_at")),
            ended_at=whole(fields.get("ended_at")),
        )
    except (KeyError, ValueError):
        return None


def lease_of(worker_id: str, row: Sequence[Any]) -> Lease:
    """One row of a claim's reply."""
    return Lease(
        job_id=row[0].decode(),
        attempt=row[1],
        worker_id=worker_id,
        service_required=row[2].decode("utf-8", "replace"),
        payload=msgspec.Raw(row[3]),
        priority=row[4],
        client_id=text(row[5]),
        max_retries=row[6],
        failures=row[7],
        expires_at=row[8],
    )


def event_of(entry_id: bytes, flat: Sequence[bytes]) -> Event | None:
    """One entry of a stream; None where somebody else wrote something of another shape there."""
    fields = pairs(flat)
    try:
        return Event(
            id=entry_id.decode(),
            kind=EventKind(fields["kind"].decode()),
            job_id=fields["job_id"].decode(),
            at=int(fields["at"]),
            service_required=fields["service_required"].decode("utf-8", "replace"),
            priority=int(fields["priority"]),
            client_id=text(fields.get("client_id")),
            attempt=int(fields["attempt"]),
            worker_id=text(fields.get("worker_id")),
            progress=float(fields["progress"]) if "progress" in fields else None,
            status=text(fields.get("status")),
            message=text(fields.get("message")),
            details=msgspec.json.decode(fields["details"], type=dict[str, Any]) if "details" in fields else None,
            result=raw(fields.get("result")),
            result_omitted="result_omitted" in fields,
            error=text(fields.get("error")),
        )
    except (KeyError, ValueError, msgspec.DecodeError):
        return None


def worker_of(row: Sequence[Any]) -> WorkerInfo | None:
    """One row of the workers' reply; None for a report that makes no sense."""
    try:
        report = msgspec.json.decode(row[1], type=WorkerReport)
    except msgspec.DecodeError:
        return None
    return WorkerInfo(report=report, registered_at=int(row[2]), seen_at=int(row[3]), alive=row[4] == b"1")
