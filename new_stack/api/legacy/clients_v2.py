"""The later dialect of clients: the job inside `data`, progress by subscription, times as ISO 8601 text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from new_stack.api.legacy.actions import (
    Action,
    AskStatus,
    Cancel,
    ForceRetry,
    StayAlive,
    Submit,
    Subscribe,
    Unsubscribe,
)
from new_stack.api.legacy.client import MANUALLY
from new_stack.api.legacy.events import ending_frame, event_frame
from new_stack.api.legacy.frames import Frame, JobCompleted, JobFailed, JobProgress, JobStatus
from new_stack.api.legacy.messages import Fields, Refusal, job_id_of, text_field, value
from new_stack.api.legacy.submission import new_job
from new_stack.queue.events import Event
from new_stack.queue.jobs import Job, Submission

TELLING: Final = frozenset({"subscribe_progress", "unsubscribe_progress", "get_job_status"})
"""Messages that only this dialect knows; a `submit_job` with its job inside `data` tells as well."""

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def tells(fields: Fields) -> bool:
    """Whether this message can only come from a client of this dialect."""
    kind = value(fields, "type")
    if kind == "submit_job":
        return bytes(fields.get("data", msgspec.Raw(b""))).lstrip()[:1] == b"{"
    return isinstance(kind, str) and kind in TELLING


def iso(seconds: float) -> str:
    """A time as this dialect writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def connected(client_id: str, now: float) -> dict[str, Any]:
    """This dialect's greeting, sent once it is known to be spoken."""
    return {"type": "connected", "client_id": client_id, "timestamp": iso(now)}


def read_action(fields: Fields, client_id: str) -> Action:  # noqa: PLR0911 - one line for each message
    """What a message asks for. Raises Refusal."""
    kind = value(fields, "type")
    match kind:
        case "submit_job":
            return _submit(fields, client_id)
        case "subscribe_progress":
            return Subscribe(job_id_of(fields, kind))
        case "unsubscribe_progress":
            return Unsubscribe(job_id_of(fields, kind))
        case "get_job_status":
            return AskStatus(job_id_of(fields, kind))
        case "cancel_job":
            return Cancel(job_id_of(fields, kind), text_field(fields, "reason") or MANUALLY)
        case "retry_job":
            return ForceRetry(job_id_of(fields, kind))
        case "ping" | "stay_alive":
            return StayAlive()
    raise Refusal(f"Unsupported message type: {kind}")


def _submit(fields: Fields, client_id: str) -> Submit:
    data = fields.get("data")
    if data is None or bytes(data).lstrip()[:1] != b"{":
        raise Refusal("data must be a JSON object that describes the job")
    return Submit(new_job(_fields.decode(data), client_id, id_field="id"), text_field(fields, "id"))


def unsubscribed(job_id: str, now: float) -> dict[str, Any]:
    """The answer to `unsubscribe_progress`."""
    return {"type": "unsubscribed", "job_id": job_id, "timestamp": iso(now)}


class LaterDialect:
    """How servers of that time word their answers to clients."""

    follows_own_jobs = False
    read = staticmethod(read_action)

    @staticmethod
    def accepted(submission: Submission, message_id: str | None, now: float) -> dict[str, Any]:
        """The job stands in the line."""
        return {
            "type": "job_submitted",
            "job_id": submission.job_id,
            "message_id": message_id,
            "status": submission.state.value,
            "position": submission.position,
            "timestamp": iso(now),
        }

    @staticmethod
    def status(job: Job, now: float) -> dict[str, Any]:
        """How a job stands."""
        return {"type": "job_status", "job_id": job.id, "job": job_document(job), "timestamp": iso(now)}

    @staticmethod
    def subscribed(job_id: str, now: float) -> dict[str, Any]:
        """The subscription is in force."""
        return {"type": "subscribed", "job_id": job_id, "timestamp": iso(now)}

    @staticmethod
    def cancelled(job: Job, now: float) -> dict[str, Any]:
        """The job is cancelled."""
        return {
            "type": "job_cancelled",
            "job_id": job.id,
            "reason": job.cancel_reason,
            "timestamp": iso(now),
        }

    @staticmethod
    def retried(job: Job, *, cleared: bool, now: float) -> dict[str, Any]:
        """The job may run again, or there was nothing to forget."""
        return {"type": "job_retried", "job_id": job.id, "cleared": cleared, "timestamp": iso(now)}

    @staticmethod
    def alive(now: float) -> dict[str, Any]:
        """The connection is alive."""
        return {"type": "pong", "timestamp": iso(now)}

    @staticmethod
    def error(sentence: str, message_id: str | None, now: float) -> dict[str, Any]:
        """The message could not be served."""
        return {"type": "error", "error": sentence, "message_id": message_id, "timestamp": iso(now)}

    @staticmethod
    def event(event: Event) -> dict[str, Any] | None:
        """What a subscriber gets for an event."""
        frame = event_frame(event)
        return None if frame is None else _progress(frame, event.job_id, event.at / 1000)

    @staticmethod
    def ending(job: Job) -> dict[str, Any] | None:
        """The ending, for one who came too late to hear it."""
        frame = ending_frame(job)
        return None if frame is None else _progress(frame, job.id, frame.timestamp)


def _progress(frame: Frame, job_id: str, at: float) -> dict[str, Any]:
    """Every event is a `progress` whose data is text, as it stood in the stream that these clients were fed from."""
    data: dict[str, str | None]
    match frame:
        case JobProgress():
            data = {"progress": str(frame.progress), "status": frame.status, "message": frame.message}
        case JobCompleted():
            result = None if frame.result is None else bytes(frame.result).decode()
            data = {"progress": "100", "status": "completed", "result": result}
        case JobFailed():
            data = {"status": "failed", "error": frame.error}
        case JobStatus():
            data = {"status": frame.status, "message": frame.message}
        case _:
            data = {}
    worker_id = getattr(frame, "worker_id", None)
    known = {key: text for key, text in (data | {"worker_id": worker_id}).items() if text is not None}
    return {"type": "progress", "job_id": job_id, "data": known | {"timestamp": iso(at)}, "timestamp": iso(at)}


def job_document(job: Job) -> dict[str, Any]:
    """A job as this dialect shows it."""
    return {
        "id": job.id,
        "status": job.state.value,
        "service_required": job.service_required,
        "job_type": job.service_required,
        "priority": job.priority,
        "payload": job.payload,
        "worker_id": job.worker_id,
        "progress": job.progress,
        "message": job.status_message,
        "result": job.result,
        "error": job.error,
        "retry_count": job.failures,
        "max_retries": job.max_retries,
        "created_at": iso(job.created_at / 1000),
        "claimed_at": None if job.claimed_at is None else iso(job.claimed_at / 1000),
        "ended_at": None if job.ended_at is None else iso(job.ended_at / 1000),
    }
