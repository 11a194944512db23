"""The later dialect of clients: the job inside `data`, progress by subscription, times as ISO 8601 text."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from new_stack.api.legacy.hub import Frame, HubDialect
from new_stack.api.legacy.messages import Fields, Refusal, value
from new_stack.api.legacy.v2.universal import iso, progress_message, universal_job
from new_stack.queue.jobs import Job, NewJob, Submission

V2_ONLY: Final = frozenset({"subscribe_progress", "unsubscribe_progress", "get_job_status"})
"""Messages that only this dialect knows; a `submit_job` with its job inside `data` tells it as well."""

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_v2_message(fields: Fields) -> bool:
    """Whether this message can only come from a client of this dialect."""
    kind = value(fields, "type")
    return isinstance(kind, str) and (kind in V2_ONLY or (kind == "submit_job" and _has_data(fields)))


def _has_data(fields: Fields) -> bool:
    return bytes(fields.get("data", msgspec.Raw(b""))).lstrip()[:1] == b"{"


def _frame(kind: str, now: float, **fields: Any) -> Frame:
    return {"type": kind} | fields | {"timestamp": iso(now * 1000)}


def unsubscribed(job_id: str, now: float) -> Frame:
    """The answer to one who follows a job no more."""
    return _frame("unsubscribed", now, job_id=job_id)


def _pong(now: float) -> Frame:
    return _frame("pong", now)


class V2Dialect(HubDialect):
    """The later dialect's words."""

    id_field = "id"
    follows_own_jobs = False
    answers: ClassVar = {"ping": _pong, "stay_alive": _pong}
    event_frame = staticmethod(progress_message)

    def job(self, fields: Fields, client_id: str) -> NewJob:
        """The job in a submission. Raises Refusal, naming the field."""
        if not _has_data(fields):
            raise Refusal("data must be a JSON object that describes the job")
        return super().job(_fields.decode(fields["data"]), client_id)

    def greeting(self, name: str, now: float, _role: str = "") -> Frame:
        """The welcome."""
        return _frame("connected", now, client_id=name)

    def accepted(self, said: Submission, message_id: Any, now: float) -> Frame:
        """A submission was taken."""
        about = {"job_id": said.job_id, "message_id": message_id, "status": said.state, "position": said.position}
        return _frame("job_submitted", now, **about)

    def status(self, job: Job, now: float) -> Frame:
        """How a job stands."""
        return _frame("job_status", now, job_id=job.id, job=universal_job(job))

    def subscribed(self, job_id: str, now: float) -> Frame:
        """The client follows a job."""
        return _frame("subscribed", now, job_id=job_id)

    def cancelled(self, job: Job, now: float) -> Frame:
        """The job is cancelled."""
        return _frame("job_cancelled", now, job_id=job.id, reason=job.cancel_reason)

    def retried(self, job: Job, changed: bool, now: float) -> Frame:  # noqa: FBT001 - the answer's own word
        """A retry was asked for, and has changed something or not."""
        return _frame("job_retried", now, job_id=job.id, cleared=changed)

    def error(self, sentence: str, message_id: Any, now: float) -> Frame:
        """A message could not be served."""
        return _frame("error", now, error=sentence, message_id=message_id)


V2: Final = V2Dialect()
