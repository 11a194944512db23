"""A validation error in plain words."""

from __future__ import annotations

import re
from typing import Final

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
