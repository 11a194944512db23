"""Reads requests and makes responses, for every route."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from new_stack.api.http.problems import ProblemError
from new_stack.api.modern.wording import field_problem

T = TypeVar("T")

encode: Final = msgspec.json.Encoder().encode


def answer(view: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response."""
    return web.Response(body=encode(view), status=status, headers=headers, content_type="application/json")


def decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """A body as its type. Raises a problem: 400 where it is no JSON, 422 where a field is wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise field_problem(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, f"The body is not JSON: {error}.") from None
