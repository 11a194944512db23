"""The later dialect of clients: the job inside `data`, progress by subscription, times as ISO 8601 text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from new_stack.api.http.schemas import job_document, plain_number
from new_stack.api.legacy.dialect import Action, Dialect
from new_stack.api.legacy.hub import CLEARED
from new_stack.api.legacy.messages import Fields, Refusal, value
from new_stack.queue.events import Event, EventKind

ACTIONS: Final = {
    "submit_job": Action.SUBMIT,
    "subscribe_progress": Action.SUBSCRIBE,
    "unsubscribe_progress": Action.UNSUBSCRIBE,
    "get_job_status": Action.STATUS,
    "cancel_job": Action.CANCEL,
    "retry_job": Action.RETRY,
    "ping": Action.ALIVE,
    "stay_alive": Action.ALIVE,
}
V2_ONLY: Final = frozenset({"subscribe_progress", "unsubscribe_progress", "get_job_status"})
"""Messages that only this dialect knows; a `submit_job` with its job inside `data` tells it as well."""

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_v2_message(fields: Fields) -> bool:
    """Whether this message can only come from a client of this dialect."""
    kind = value(fields, "type")
    return isinstance(kind, str) and (kind in V2_ONLY or (kind == "submit_job" and _has_data(fields)))


def _has_data(fields: Fields) -> bool:
    return bytes(fields.get("data", msgspec.Raw(b""))).lstrip()[:1] == b"{"


def _submission(fields: Fields) -> Fields:
    if not _has_data(fields):
        raise Refusal("data must be a JSON object that describes the job")
    return _fields.decode(fields["data"])


def iso(ms: float) -> str:
    """A time as this dialect writes it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _frame(kind: str, now: float, **fields: Any) -> dict[str, Any]:
    return {"type": kind} | fields | {"timestamp": iso(now * 1000)}


PROGRESS: Final[dict[EventKind, str]] = {
    EventKind.CLAIMED: "processing",
    EventKind.PROGRESS: "processing",
    EventKind.COMPLETED: "completed",
    EventKind.ATTEMPT_FAILED: "failed",
    EventKind.FAILED: "failed",
    EventKind.CANCELLED: "cancelled",
    EventKind.RETRIED: "pending",
}
"""Events that are sent, with their status; a progress brings its own."""


def event_frame(event: Event) -> dict[str, Any] | None:
    """Every event is a `progress` whose data is text, as it stood in the stream that these clients were fed from."""
    status = PROGRESS.get(event.kind)
    if status is None:
        return None
    data: dict[str, str | None] = {"status": event.status or status, "worker_id": event.worker_id}
    match event.kind:
        case EventKind.PROGRESS:
            data |= {"progress": str(plain_number(event.progress) or 0), "message": event.message}
        case EventKind.COMPLETED:
            data |= {"progress": "100", "result": None if event.result is None else bytes(event.result).decode()}
        case EventKind.ATTEMPT_FAILED | EventKind.FAILED:
            data["error"] = event.error or "unknown error"
        case EventKind.CANCELLED:
            data["message"] = f"Job cancelled: {event.message or ''}"
        case EventKind.RETRIED:
            data["message"] = CLEARED
    known = {key: text for key, text in data.items() if text is not None}
    return _frame("progress", event.at / 1000, job_id=event.job_id, data=known | {"timestamp": iso(event.at)})


V2: Final = Dialect(
    actions=ACTIONS,
    id_field="id",
    submission=_submission,
    follows_own_jobs=False,
    greeting=lambda name, now: _frame("connected", now, client_id=name),
    accepted=lambda submission, message_id, now: _frame(
        "job_submitted",
        now,
        job_id=submission.job_id,
        message_id=message_id,
        status=submission.state,
        position=submission.position,
    ),
    status=lambda job, now: _frame("job_status", now, job_id=job.id, job=job_document(job, iso)),
    subscribed=lambda job_id, now: _frame("subscribed", now, job_id=job_id),
    unsubscribed=lambda job_id, now: _frame("unsubscribed", now, job_id=job_id),
    cancelled=lambda job, now: _frame("job_cancelled", now, job_id=job.id, reason=job.cancel_reason),
    retried=lambda job, now: _frame("job_retried", now, job_id=job.id, cleared=True),
    not_retried=lambda job, now: _frame("job_retried", now, job_id=job.id, cleared=False),
    alive=lambda now: _frame("pong", now),
    error=lambda sentence, now: _frame("error", now, error=sentence, message_id=None),
    event=event_frame,
)
