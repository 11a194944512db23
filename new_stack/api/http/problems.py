"""Errors as problem documents (RFC 9457): one shape, with a sentence a person can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from new_stack.queue.errors import (
    InvalidJob,
    InvalidTransition,
    JobConflict,
    JobNotFound,
    QueueError,
    QueueUnavailable,
    RedisTooOld,
)

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

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = dict(headers or {})


def problem(
    status: int,
    detail: str | list[dict[str, Any]],
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    hint: str = "",
) -> ProblemError:
    """A problem ready to be raised; its title is the status's own phrase."""
    title = HTTPStatus(status).phrase
    sentence = detail if isinstance(detail, str) else "; ".join(f"{error.field}: {error.message}" for error in errors)
    document = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=detail,
        errors=list(errors),
        hint=hint,
        error=sentence or title,
    )
    return ProblemError(document, headers)


def invalid(field: str, message: str) -> ProblemError:
    """422: one field of the input is wrong."""
    return problem(422, f"{field}: {message}", errors=[FieldError(field, message)])


def not_found(job_id: str) -> ProblemError:
    """404 for a job, in the hub's words."""
    return problem(404, f"Job with ID {job_id} not found", hint="It never existed, or it ended long ago and expired.")


def unavailable(why: str) -> ProblemError:
    """503: Redis is away for now."""
    return problem(
        503,
        f"The queue is not available: {why.rstrip('.')}.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        hint=f"Try again in {RETRY_AFTER_SECONDS} s. A job submitted with its own `id` is never stored twice.",
    )


def from_queue(error: QueueError, job_id: str = "") -> ProblemError:
    """What a queue's error means over HTTP."""
    if isinstance(error, InvalidJob):
        return invalid(error.field, error.reason)
    if isinstance(error, JobNotFound):
        return not_found(job_id) if job_id else problem(404, str(error))
    if isinstance(error, JobConflict | InvalidTransition):
        return problem(409, str(error))
    if isinstance(error, QueueUnavailable | RedisTooOld):
        return unavailable(str(error))
    return problem(500, str(error))
