"""Errors as problem documents (RFC 9457): one shape for whatever went wrong. The hub answered their `detail` alone."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from new_stack.api.http.problems import FieldError, ProblemError

CONTENT_TYPE: Final = "application/problem+json"
HINTS: Final = {
    404: "The API is described at /openapi.json.",
    405: "The header Allow says what is answered here.",
    413: "The limit is a setting of the server (HUBGATE_BODY_LIMIT).",
}
"""What to look at, by status, where a request does not even reach a route."""


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


def document_of(error: ProblemError) -> Problem:
    """An error as a document."""
    title, said = HTTPStatus(error.status).phrase, error.detail
    words = said if isinstance(said, str) else "; ".join(f"{one.field}: {one.message}" for one in error.errors)
    return Problem(
        type="about:blank",
        title=title,
        status=error.status,
        detail=error.detail,
        hint=error.hint,
        errors=error.errors,
        error=words or title,
    )
