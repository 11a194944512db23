"""Reads requests and makes responses, for every route."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from new_stack.api.http.access import require_json
from new_stack.api.http.problems import FieldError, ProblemError, invalid, problem
from new_stack.api.services import SERVICES

T = TypeVar("T")

_mark: Final = re.compile(rb'[\[\]{},"]')
_in_string: Final = re.compile(rb'\\.|"', re.DOTALL)

encode: Final = msgspec.json.Encoder().encode


def answer(view: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response."""
    return web.Response(body=encode(view), status=status, headers=headers, content_type="application/json")


@asynccontextmanager
async def received(request: web.Request) -> AsyncIterator[bytes]:
    """The body, counted among those of all requests until the block ends.

    Raises a problem: 415 where it is of the type of a form or of plain text, 413 where it is too large, 408 where its
    sender takes too long, 503 where all bodies together are too large.
    """
    require_json(request)
    chunks: list[bytes] = []
    try:
        await _receive(request, chunks)
        yield b"".join(chunks)
    finally:
        request.app[SERVICES].bodies.give_back(sum(map(len, chunks)))


async def _receive(request: web.Request, chunks: list[bytes]) -> None:
    services = request.app[SERVICES]
    limit, milliseconds = services.settings.body_limit, services.settings.body_timeout_ms
    size, received_bytes = request.content_length or 0, 0
    try:
        async with asyncio.timeout(milliseconds / 1000):
            while size <= limit and (chunk := await request.content.readany()):
                services.bodies.take(len(chunk))
                chunks.append(chunk)
                received_bytes += len(chunk)
                size = max(size, received_bytes)
    except web.RequestPayloadError as error:
        raise problem(400, f"The body cannot be read: {' '.join(str(error).split())}.") from None
    except TimeoutError:
        raise problem(
            408, f"The body did not arrive within {milliseconds} ms.", headers={"Connection": "close"}
        ) from None
    if size > limit:
        raise web.HTTPRequestEntityTooLarge(limit, size)


def count_items(body: bytes, enough: int) -> int:
    """How many items a JSON list has, without building any; counting stops at `enough`.

    Brackets and commas are counted outside of strings. Whatever is no JSON is found when the list is read.
    """
    depth, items, at = 0, 1, 0
    while items < enough and (found := _mark.search(body, at)) is not None:
        mark, at = found[0], found.end()
        if mark == b'"':
            while (inside := _in_string.search(body, at)) is not None:
                at = inside.end()
                if inside[0] == b'"':
                    break
        elif mark == b",":
            items += depth == 1
        else:
            depth += 1 if mark in b"[{" else -1
    return items


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


WORDS: Final = {
    "int": "a whole number",
    "float": "a number with a fraction",
    "str": "text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def plainly(words: str) -> str:
    """A validation error without the words of a type system: "Expected `int`, got `str`" becomes a sentence."""
    wrong_type = re.fullmatch(r"Expected `(.+)`, got `(.+)`", words)
    if wrong_type is not None:
        wanted, got = (" or ".join(WORDS.get(part, part) for part in side.split(" | ")) for side in wrong_type.groups())
        return f"must be {wanted}, not {got}"
    bound = re.fullmatch(r"Expected `.+?`( of length)? ([<>]=) (-?\d+)", words)
    if bound is None:
        return words
    least = bound[2] == ">="
    if bound[1]:
        return f"must have {'at least' if least else 'at most'} {bound[3]} character{'' if bound[3] == '1' else 's'}"
    return f"must be {bound[3]} or {'more' if least else 'less'}"


def whole_number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A query parameter that is a whole number within bounds. Raises a 422 problem."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 15 or not least <= int(text) <= most:
        raise invalid(name, f"must be a whole number from {least} to {most}")
    return int(text)
