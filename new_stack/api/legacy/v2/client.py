"""The later dialect of clients: the job inside `data`, progress by subscription, times as ISO 8601 text."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from new_stack.api.legacy.dialect import Dialect, as_text
from new_stack.api.legacy.messages import Fields, Refusal, value
from new_stack.api.legacy.v2.universal import iso, progress_message, universal_job

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


def _frame(kind: str, now: float, **fields: Any) -> dict[str, Any]:
    return {"type": kind} | fields | {"timestamp": iso(now * 1000)}


def unsubscribed(job_id: str, now: float) -> dict[str, Any]:
    """The answer to one who follows a job no more."""
    return _frame("unsubscribed", now, job_id=job_id)


def _pong(now: float) -> dict[str, Any]:
    return _frame("pong", now)


V2: Final = Dialect(
    id_field="id",
    submission=_submission,
    follows_own_jobs=False,
    answers={"ping": _pong, "stay_alive": _pong},
    greeting=lambda name, now: _frame("connected", now, client_id=name),
    accepted=lambda submission, message_id, now: _frame(
        "job_submitted",
        now,
        job_id=submission.job_id,
        message_id=message_id,
        status=submission.state,
        position=submission.position,
    ),
    status=lambda job, now: _frame("job_status", now, job_id=job.id, job=universal_job(job)),
    subscribed=lambda job_id, now: _frame("subscribed", now, job_id=job_id),
    cancelled=lambda job, now: _frame("job_cancelled", now, job_id=job.id, reason=job.cancel_reason),
    retried=lambda job, changed, now: _frame("job_retried", now, job_id=job.id, cleared=changed),
    error=lambda sentence, message_id, now: _frame("error", now, error=sentence, message_id=message_id),
    text=as_text(progress_message),
)
