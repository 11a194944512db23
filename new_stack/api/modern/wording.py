"""What is wrong with a field, in plain words, and query parameters that are checked."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from new_stack.api.http.problems import ProblemError, invalid

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


def field_problem(message: str) -> ProblemError:
    """A validation error's words as a problem that names the field."""
    words, _, path = message.partition(" - at `")
    return invalid(path.rstrip("`").removeprefix("$").removeprefix(".") or "body", plainly(words))


def whole_number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A query parameter that is a whole number within bounds. Raises a 422 problem."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 15 or not least <= int(text) <= most:
        raise invalid(name, f"must be a whole number from {least} to {most}")
    return int(text)
