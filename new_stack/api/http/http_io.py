"""Reads requests and makes responses, for every route."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from new_stack.api.http.problems import FieldError, ProblemError, invalid, problem
from new_stack.api.modern.wording import plainly

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
        raise problem(400, f"The body is not JSON: {error}.") from None


def field_problem(message: str) -> ProblemError:
    """A validation error's words as a problem that names the field."""
    words, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".") or "body"
    text = plainly(words)
    return problem(422, f"{field}: {text}", errors=[FieldError(field, text)])


def whole_number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A query parameter that is a whole number within bounds. Raises a 422 problem."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 15 or not least <= int(text) <= most:
        raise invalid(name, f"must be a whole number from {least} to {most}")
    return int(text)
