"""The legacy hub's dialect: JSON frames over WebSocket, for clients, monitors and workers. See `Protocol`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from harness.protocols.events import EventKind, HttpRequest, JobEvent, JobState, JobStatus, Submission
from harness.protocols.script import STAMP, Step, sent_at

Frame = dict[str, Any]

KINDS: Final = {
    "job_accepted": EventKind.ACCEPTED,
    "subscription_confirmed": EventKind.SUBSCRIBED,
    "update_job_progress": EventKind.PROGRESS,
    "complete_job": EventKind.COMPLETED,
    "fail_job": EventKind.ATTEMPT_FAILED,
}
"""Frames that mean one thing. `fail_job` is sent for each failed attempt, for the last one too."""
STATUS_KINDS: Final = {"processing": EventKind.CLAIMED, "cancelled": EventKind.CANCELLED}
"""`response_job_status` is an answer, but with these words it is also sent to subscribers unasked.

"processing" is said of a claim only: an answer calls such a job "claimed".
"""
STATES: Final = {str(state): state for state in JobState}
CANCELLED_TEXT: Final = "Job cancelled: "
GONE_CODE: Final = 4410
"""Closes a connection whose client has to use HTTP now; an error with the same code comes before it."""
_UNKNOWN_JOB: Final = re.compile(r"Job (.*) not found", re.DOTALL)


def websocket_url(base: str, path: str, token: str | None = None) -> str:
    """The WebSocket's address on a server that may be given as http(s):// or ws(s)://."""
    parts = urlsplit(base)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    query = "" if token is None else f"{'&' if '?' in path else '?'}token={quote(token)}"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}{path}{query}"


def path_of(role: str, name: str) -> str:
    """Where a `client`, `worker` or `monitor` of that name connects."""
    return f"/ws/{role}/{name}"


# what a client sends


def submit(job: Submission, client_id: str = "", at: float | None = None) -> Frame:  # noqa: ARG001 - see `Protocol`
    """See `Protocol`. The connection says who submits."""
    body = {"job_type": job.service, "priority": job.priority, "payload": {} if job.payload is None else job.payload}
    return _frame("submit_job", at, **body, **({} if job.job_id is None else {"message_id": job.job_id}))


def ask(job_id: str, at: float | None = None) -> Frame:
    """See `Protocol`."""
    return _frame("request_job_status", at, job_id=job_id)


def cancel(job_id: str, reason: str | None = None, at: float | None = None) -> Frame:
    """See `Protocol`."""
    return _frame("cancel_job", at, job_id=job_id, **({"reason": reason} if reason else {}))


def retry(job_id: str, at: float | None = None) -> Frame:
    """See `Protocol`."""
    return _frame("force_retry_job", at, job_id=job_id)


def subscribe(job_id: str, at: float | None = None) -> Frame:
    """See `Protocol`."""
    return _frame("subscribe_job", at, job_id=job_id)


def stay_alive(at: float | None = None) -> Frame:
    """That a client or a monitor is still there."""
    return _frame("stay_alive", at)


def submit_by_rest(job: Submission) -> HttpRequest:
    """Submit a job over the hub's REST."""
    body = {"job_type": job.service, "priority": job.priority, "payload": {} if job.payload is None else job.payload}
    return HttpRequest("POST", "/api/jobs", body | ({} if job.job_id is None else {"job_id": job.job_id}))


# what a worker sends


def register(worker_id: str, services: list[str]) -> Frame:
    """That a worker is there, which jobs it takes, and that it wants to be offered some."""
    capabilities = {"version": "1.0.0", "supported_job_types": services}
    fields = {"worker_id": worker_id, "capabilities": capabilities, "subscribe_to_jobs": True, "status": "idle"}
    return _frame("register_worker", None, **fields)


def claim(worker_id: str, job_id: str) -> Frame:
    """Take an offered job."""
    return _frame("claim_job", None, worker_id=worker_id, job_id=job_id)


def progress(worker_id: str, job_id: str, step: Step, now: float) -> Frame:
    """How far the job has come; with the send time where the step wants it."""
    details = {"connector_details": {STAMP: now}} if step.stamp else {}
    fields = {"worker_id": worker_id, "job_id": job_id, "progress": step.progress, "message": step.message}
    return _frame("update_job_progress", None, status="processing", **fields, **details)


def complete(worker_id: str, job_id: str, result: Any) -> Frame:
    """That the job is done."""
    return _frame("complete_job", None, worker_id=worker_id, job_id=job_id, result=result)


def fail(worker_id: str, job_id: str, error: str) -> Frame:
    """That the attempt failed."""
    return _frame("fail_job", None, worker_id=worker_id, job_id=job_id, error=error)


def worker_status(worker_id: str, status: str) -> Frame:
    """That the worker is `idle` or `busy`: one that does not report idle is offered nothing."""
    return _frame("worker_status", None, worker_id=worker_id, status=status)


def heartbeat(worker_id: str, status: str) -> Frame:
    """That the worker is still there."""
    return _frame("worker_heartbeat", None, worker_id=worker_id, status=status)


def _frame(kind: str, at: float | None, **fields: Any) -> Frame:
    return {"type": kind, **fields, **({} if at is None else {"timestamp": at})}


# what is received


def parsed(data: str | bytes) -> Frame | None:
    """The JSON object that a frame is, or None for a binary frame and for any other text."""
    if isinstance(data, bytes):
        return None
    try:
        value = json.loads(data)  # takes NaN, which the hub may write
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def event_of(message: Mapping[str, Any], name: str = "", event_id: str = "") -> JobEvent | None:  # noqa: ARG001
    """See `Protocol`; a frame has neither a name nor an id.

    A `response_job_status` that answers `ask` may look like a cancellation: who asked has to know (see `status_of`).
    """
    job_id = message.get("job_id")
    kind = _kind_of(message)
    if kind is None or not isinstance(job_id, str) or not job_id:
        return None
    stamp = message.get("timestamp")
    reported = message.get("progress") if kind is EventKind.PROGRESS else None
    error, details = message.get("error"), message.get("connector_details")
    return JobEvent(
        kind=kind,
        job_id=job_id,
        at=float(stamp) if isinstance(stamp, int | float) else None,
        sent_at=sent_at(details),
        worker_id=message.get("worker_id"),
        progress=reported,
        status=message.get("status") if kind is EventKind.PROGRESS else None,
        message=_reason(message) if kind is EventKind.CANCELLED else message.get("message"),
        error=None if error is None else str(error),
        details=details,
        result=message.get("result"),
    )


def _kind_of(message: Mapping[str, Any]) -> EventKind | None:
    kind = message.get("type")
    if kind == "response_job_status":
        return STATUS_KINDS.get(str(message.get("status")))
    if kind == "subscription_confirmed" and message.get("job_id") == "stats":
        return None
    return KINDS.get(str(kind))


def _reason(message: Mapping[str, Any]) -> str | None:
    """Why a job was cancelled; None where the frame is no notice of the cancellation itself."""
    text = message.get("message")
    return text.removeprefix(CANCELLED_TEXT) if isinstance(text, str) and text.startswith(CANCELLED_TEXT) else None


def gone_of(message: Mapping[str, Any]) -> str | None:
    """Why the hub's protocols are not served to this client now; None for any other frame."""
    return error_of(message) if message.get("code") == GONE_CODE else None


def status_of(message: Mapping[str, Any]) -> JobStatus | None:
    """See `Protocol`. An error about an unknown job is an answer too."""
    job_id, state = message.get("job_id"), STATES.get(str(message.get("status")))
    if message.get("type") == "response_job_status" and isinstance(job_id, str) and state is not None:
        return JobStatus(job_id=job_id, state=state, worker_id=message.get("worker_id"), result=message.get("result"))
    unknown = _UNKNOWN_JOB.fullmatch(error_of(message) or "")
    return JobStatus(job_id=unknown[1], state=JobState.UNKNOWN) if unknown else None


def error_of(message: Mapping[str, Any]) -> str | None:
    """The text of an error, which does not name the message that it answers; None for any other frame."""
    return str(message.get("error")) if message.get("type") == "error" else None


class ChunksCorrupt(Exception):  # noqa: N818 - the state is the name
    """The pieces of a message do not match their hash."""


class ChunkAssembler:
    """Puts messages together again that the hub has split because of their size."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {}

    def feed(self, frame: Frame) -> Frame | None:
        """The frame itself; None for a piece; the whole message with its last piece. Raises ChunksCorrupt."""
        if frame.get("type") != "chunked_message":
            return frame
        message_id = str(frame.get("message_id"))
        pieces = self._pieces.setdefault(message_id, [])
        pieces.append(str(frame.get("content")))
        if len(pieces) < int(frame.get("total_chunks") or 1):
            return None
        whole = "".join(self._pieces.pop(message_id))
        if hashlib.md5(whole.encode(), usedforsecurity=False).hexdigest() != frame.get("message_hash"):
            raise ChunksCorrupt(f"the pieces of message {message_id} do not match its hash")
        return parsed(whole)
