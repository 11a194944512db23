"""The types of the HTTP API's requests, and a job, a worker and an event as it answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from new_stack.api.http.problems import invalid
from new_stack.queue.events import Event
from new_stack.queue.jobs import PRIORITY_LIMIT, Job, JobState, NewJob, WorkerInfo
from new_stack.queue.retry_policy import RetryPolicy

Priority = Annotated[int, Meta(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT)]
Retries = Annotated[int, Meta(ge=0, le=1_000)]
JobId = Annotated[str, Meta(min_length=1, max_length=256)]
Service = Annotated[str, Meta(min_length=1, max_length=256)]

CLEARED: Final = "Job failure history cleared. Job can now be assigned to any worker."


class JobRequest(msgspec.Struct, kw_only=True):
    """A job as a modern client submits it. `job_type` is the legacy word for `service_required`."""

    service_required: Service | UnsetType = UNSET
    job_type: Service | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET
    priority: Priority = 0
    id: JobId | None = None
    client_id: Annotated[str, Meta(max_length=256)] | None = None
    max_retries: Retries | None = None
    retry_policy: RetryPolicy | None = None
    not_before: Annotated[int, Meta(ge=0, le=PRIORITY_LIMIT)] | None = None

    def new_job(self, extra: Raw | None = None) -> NewJob:
        """As the queue takes it, with the fields that stand beside these."""
        assert isinstance(self.service_required, str)  # noqa: S101 - the route has seen to it
        return NewJob(
            payload=Raw(b"{}") if isinstance(self.payload, UnsetType) else payload_of(self.payload) or self.payload,
            service_required=self.service_required,
            priority=self.priority,
            id=self.id,
            client_id=self.client_id,
            max_retries=self.max_retries,
            retry_policy=self.retry_policy,
            not_before=self.not_before,
            extra=extra,
        )


def read_job(wanted: JobRequest, body: bytes) -> NewJob:
    """One modern job. Raises a problem that names the field."""
    if not isinstance(wanted.service_required, str):
        raise invalid("service_required", "is missing")
    if isinstance(wanted.job_type, str) and wanted.job_type != wanted.service_required:
        raise invalid("job_type", "says something else than service_required, which means the same")
    return wanted.new_job(extra_of(_fields.decode(body)))


KNOWN_FIELDS: Final = frozenset({*JobRequest.__struct_fields__, "message_id", "type", "timestamp"})


def extra_of(fields: Mapping[str, Raw]) -> Raw | None:
    """The fields of a submission that are the submitter's own, as one JSON object; None where there are none."""
    own = {name: raw for name, raw in fields.items() if name not in KNOWN_FIELDS}
    return Raw(msgspec.json.encode(own)) if own else None


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


_fields: Final = msgspec.json.Decoder(dict[str, Raw])


class CancelRequest(msgspec.Struct, kw_only=True):
    """Why a job is cancelled."""

    reason: Annotated[str, Meta(max_length=1_000)] = "Manually cancelled"


def job_view(job: Job, position: int | None, error: str | None = None) -> dict[str, Any]:
    """The status object of a job: the hub's fields as it writes them (times are seconds as text), and ours (ms).

    `position` is 1-based among the pending jobs of its service; `error` stands in place of the job's own.
    """
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
        "error": job.error if error is None else error,
        "error_type": job.error_type,
        "traceback": job.traceback,
        "logs": job.logs,
        "position_description": _position_description(position),
        "payload": job.payload,
        "extra": job.extra,
        "failures": job.failures or None,
        "service_required": job.service_required,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_retries": job.max_retries,
        "created_at_ms": job.created_at,
        "claimed_at_ms": job.claimed_at,
        "ended_at_ms": job.ended_at,
        "status_message": job.status_message,
        "cancel_reason": job.cancel_reason,
        "retry_policy": job.policy,
        "not_before_ms": job.not_before,
        "deadline_at_ms": job.deadline_at,
        "unserved_since_ms": job.unserved_since,
        "waiting_reason": waiting_reason(job),
    }


def waiting_reason(job: Job) -> str | None:
    """Why a pending job stands where it is though it is its turn: nobody alive can take it."""
    if job.unserved_since is None:
        return None
    if job.group:
        return f"no worker that serves {job.service_required!r} can do what the job asks for"
    return f"no worker serves {job.service_required!r}"


def _position_description(position: int | None) -> str | None:
    """The place among the pending jobs in words, as the hub puts it."""
    if position is None:
        return None
    ahead = position - 1
    if ahead <= 0:
        return "Next in queue"
    return "1 job ahead in queue" if ahead == 1 else f"{ahead} jobs ahead in queue"


def event_data(event: Event) -> dict[str, Any]:
    """An event as SSE data: every field that it has, the service under its legacy name too."""
    fields = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    del fields["id"], fields["result_omitted"]
    return fields | {"job_type": event.service_required}


def worker_view(worker: WorkerInfo) -> dict[str, Any]:
    """A worker as it last reported."""
    known = {"alive": worker.alive, "registered_at": worker.registered_at, "seen_at": worker.seen_at}
    return msgspec.structs.asdict(worker.report) | known


def plain_number(value: float | None) -> float | int | None:
    """A progress as its worker sent it: 10, not 10.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
