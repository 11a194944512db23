"""Why a request cannot be answered: a status, and a sentence a person can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from new_stack.queue import errors as queue

RETRY_AFTER_SECONDS: Final = 2


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of the input."""

    field: str
    message: str


class ProblemError(Exception):
    """Raised where a request cannot be answered; the middleware makes the response of it.

    `detail` is a sentence; only for a legacy body is it the list that the hub answers.
    """

    def __init__(
        self,
        status: int,
        detail: str | list[dict[str, Any]],
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.hint = hint


def invalid(field: str, message: str) -> ProblemError:
    """422: one field of the input is wrong."""
    return ProblemError(422, f"{field}: {message}", errors=[FieldError(field, message)])


def not_found(job_id: str) -> ProblemError:
    """404 for a job, in the hub's words."""
    return ProblemError(
        404, f"Job with ID {job_id} not found", hint="It never existed, or it ended long ago and expired."
    )


def unavailable(why: str) -> ProblemError:
    """503: Redis is away for now."""
    return ProblemError(
        503,
        f"The queue is not available: {why.rstrip('.')}.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        hint=f"Try again in {RETRY_AFTER_SECONDS} s. A job submitted with its own `id` is never stored twice.",
    )


def from_queue(error: queue.QueueError, job_id: str = "") -> ProblemError:
    """What a queue's error means over HTTP."""
    match error:
        case queue.InvalidJob():
            return invalid(error.field, error.reason)
        case queue.JobNotFound() if job_id:
            return not_found(job_id)
        case queue.QueueUnavailable() | queue.RedisTooOld():
            return unavailable(str(error))
    statuses = {queue.JobNotFound: 404, queue.JobConflict: 409, queue.InvalidTransition: 409}
    return ProblemError(statuses.get(type(error), 500), str(error))
