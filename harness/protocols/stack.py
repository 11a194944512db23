"""The new stack's protocol: HTTP for actions, server-sent events for what happens. See `Protocol`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from harness.protocols.events import LOG_KINDS, EventKind, HttpRequest, JobEvent, JobState, JobStatus, Submission
from harness.protocols.script import sent_at

JOBS: Final = "/api/jobs"
EVENTS: Final = "/api/events"
"""The stream of all jobs' events."""
WORKERS: Final = "/api/workers"
LISTED: Final = "items"
"""Under this name an answer that is a list stands in an object."""
NOT_FOUND: Final = 404
STREAM_OVER: Final = 204
"""The answer to a reader that resumes behind the job's end."""
KINDS: Final = {str(kind): kind for kind in LOG_KINDS} | {"gap": EventKind.GAP}
STATES: Final = {str(state): state for state in JobState} | {"processing": JobState.CLAIMED}


def authorization(token: str | None) -> dict[str, str]:
    """The headers that a token makes."""
    return {"Authorization": f"Bearer {token}"} if token else {}


# what a client asks for


def submit(job: Submission, client_id: str = "", at: float | None = None) -> HttpRequest:  # noqa: ARG001
    """See `Protocol`. The server's clock counts."""
    body = {
        "service_required": job.service,
        "payload": {} if job.payload is None else job.payload,
        "priority": job.priority,
        **({} if job.job_id is None else {"id": job.job_id}),
        **({} if job.max_retries is None else {"max_retries": job.max_retries}),
        **({"client_id": client_id} if client_id else {}),
    }
    return HttpRequest("POST", JOBS, body)


def batch(bodies: Sequence[Any]) -> HttpRequest:
    """Several submissions in one request; each is answered for itself, in their order."""
    return HttpRequest("POST", JOBS, list(bodies))


def batch_answers(body: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Status and body of each answer, as each submission alone would have had them."""
    items = [item for item in body.get(LISTED, ()) if isinstance(item, dict)]
    return [(int(item.get("status") or 0), item.get("job") or item.get("problem") or {}) for item in items]


def ask(job_id: str, at: float | None = None) -> HttpRequest:  # noqa: ARG001 - see `Protocol`
    """See `Protocol`."""
    return HttpRequest("GET", _job(job_id))


def cancel(job_id: str, reason: str | None = None, at: float | None = None) -> HttpRequest:  # noqa: ARG001
    """See `Protocol`."""
    return HttpRequest("POST", f"{_job(job_id)}/cancel", {"reason": reason} if reason else {})


def retry(job_id: str, at: float | None = None) -> HttpRequest:  # noqa: ARG001 - see `Protocol`
    """See `Protocol`."""
    return HttpRequest("POST", f"{_job(job_id)}/retry", {})


def subscribe(job_id: str, at: float | None = None) -> HttpRequest:  # noqa: ARG001 - see `Protocol`
    """See `Protocol`: the stream of one job, from its first event or from the one that `resume` names."""
    return HttpRequest("GET", f"{_job(job_id)}/progress")


def _job(job_id: str) -> str:
    return f"{JOBS}/{quote(job_id, safe='')}"


# what is received


def event_of(message: Mapping[str, Any], name: str = "", event_id: str = "") -> JobEvent | None:
    """See `Protocol`: the data of a server-sent event, or the fields of an entry of the stream in Redis, all text.

    The kind stands in the data; where it does not, it is the event's name.
    """
    kind = KINDS.get(str(message.get("kind") or name))
    job_id = message.get("job_id")
    if kind is EventKind.GAP:
        return JobEvent(kind=kind, job_id=str(job_id or ""), message=str(dict(message)), event_id=event_id)
    if kind is None or job_id is None:
        return None
    at = _number(message.get("at"))
    details = message.get("details")
    return JobEvent(
        kind=kind,
        job_id=str(job_id),
        at=None if at is None else at / 1000,
        sent_at=sent_at(details),
        worker_id=_text(message.get("worker_id")),
        attempt=int(message.get("attempt") or 0),
        progress=_number(message.get("progress")) if kind is EventKind.PROGRESS else None,
        status=message.get("status"),
        message=message.get("message"),
        error=message.get("error"),
        details=details,
        result=message.get("result"),
        service=str(message.get("service_required") or message.get("job_type") or ""),
        priority=int(message.get("priority") or 0),
        event_id=event_id,
    )


def status_of(message: Mapping[str, Any]) -> JobStatus | None:
    """See `Protocol`: the body of the answer to `ask`. For an unknown job there is the code 404 alone."""
    job_id, state = message.get("job_id"), STATES.get(str(message.get("status")))
    if state is None:
        return None
    return JobStatus(
        job_id=str(job_id or ""), state=state, worker_id=_text(message.get("worker_id")), result=message.get("result")
    )


def complaint(status: int, body: Mapping[str, Any]) -> str:
    """The error in an answer, in one sentence."""
    said = body.get("detail") or body.get("title") or body.get("error") or ""
    return f"HTTP {status} {said}".strip()


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return value
    return None if value in (None, "") else float(value)
