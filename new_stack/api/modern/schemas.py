"""The types of the HTTP API's requests, and a job as it answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from new_stack.api.http.problems import invalid
from new_stack.api.http.schemas import hub_view, payload_of
from new_stack.queue.explanation import waiting_reason
from new_stack.queue.jobs import PRIORITY_LIMIT, Job, NewJob
from new_stack.queue.retry_policy import RetryPolicy

Priority = Annotated[int, Meta(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT)]
Retries = Annotated[int, Meta(ge=0, le=1_000)]
JobId = Annotated[str, Meta(min_length=1, max_length=256)]
Service = Annotated[str, Meta(min_length=1, max_length=256)]


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


_fields: Final = msgspec.json.Decoder(dict[str, Raw])


class CancelRequest(msgspec.Struct, kw_only=True):
    """Why a job is cancelled."""

    reason: Annotated[str, Meta(max_length=1_000)] = "Manually cancelled"


BODIES: Final = ("payload", "result", "extra", "logs", "traceback", "retry_policy")
"""What a job's status object has and its row in a listing has not."""


def job_row(job: Job) -> dict[str, Any]:
    """A job in a listing: what is small of its status object."""
    view = job_view(job)
    for name in BODIES:
        del view[name]
    return view


def job_view(job: Job) -> dict[str, Any]:
    """The status object of a job: the hub's fields, and ours, whose times are ms."""
    return hub_view(job) | {
        "error_type": job.error_type,
        "traceback": job.traceback,
        "logs": job.logs,
        "extra": job.extra,
        "service_required": job.service_required,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_retries": job.max_retries,
        "created_at_ms": job.created_at,
        "claimed_at_ms": job.claimed_at,
        "ended_at_ms": job.ended_at,
        "status_message": job.status_message,
        "cancel_reason": job.cancel_reason,
        "retry_policy": job.retry_policy,
        "not_before_ms": job.not_before,
        "deadline_at_ms": job.deadline_at,
        "unserved_since_ms": job.unserved_since,
        "paused_since_ms": job.paused_since,
        "waiting_reason": waiting_reason(job),
    }
