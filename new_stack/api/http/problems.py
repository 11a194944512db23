"""Why a request cannot be answered, as a problem document (RFC 9457); the hub answered the `detail` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from new_stack.queue import errors as queue

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of the input."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. `detail` is a sentence; only for a legacy body is it the list that the hub answers."""

    type: str
    title: str
    status: int
    detail: str | list[dict[str, Any]]
    hint: str = ""
    errors: list[FieldError] = []
    error: str = ""
    """The sentence once more, under the name that the universal client of the first new stack reads."""


class ProblemError(Exception):
    """Raised where a request cannot be answered; the middleware makes the response of it."""

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
        title = HTTPStatus(status).phrase
        words = detail if isinstance(detail, str) else "; ".join(f"{one.field}: {one.message}" for one in errors)
        about: dict[str, Any] = {"title": title, "status": status, "detail": detail, "hint": hint, "errors": [*errors]}
        self.document = Problem(type="about:blank", error=words or title, **about)
        self.headers = headers


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
