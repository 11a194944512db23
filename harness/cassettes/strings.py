"""Long strings in short: `{"$repeat": [unit, count]}`, or `{"$elided": {length, starts, ends}}` if there is no unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

LONGEST_PLAIN: Final = 4096
"""A longer string is contracted."""
LONGEST_UNIT: Final = 64
STARTS: Final = 120
ENDS: Final = 40
LONGEST_EXPANDED: Final = 16_000_000
"""No string that a cassette writes as a repetition may be longer than this once expanded."""


class CannotExpand(ValueError):  # noqa: N818 - the state is the name
    """The value stands for a string that cannot be had: elided, malformed or too long."""


def contracted(value: Any) -> Any:
    """The same JSON value with every long string written in short."""
    return _mapped(value, _contract)


def expanded(value: Any) -> Any:
    """The same JSON value with repetitions written out. Raises CannotExpand."""
    if isinstance(value, dict):
        if value.keys() == {"$repeat"}:
            unit, count = checked_repeat(value)
            return unit * count
        if value.keys() == {"$elided"}:
            raise CannotExpand("a string was elided in the recording and cannot be sent again")
        return {key: expanded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [expanded(part) for part in value]
    return value


def checked_repeat(value: dict[str, Any]) -> tuple[str, int]:
    """Unit and count of a repetition. Raises CannotExpand."""
    match value["$repeat"]:
        case [str(unit), int(count)] if unit and count >= 0 and not isinstance(count, bool):
            if len(unit) * count > LONGEST_EXPANDED:
                raise CannotExpand(f"a $repeat stands for more than {LONGEST_EXPANDED:,} characters")
            return unit, count
        case _:
            raise CannotExpand("$repeat has to be [unit, count]: a string that is not empty and a whole number")


def check_short_forms(value: Any) -> int:
    """Characters that all repetitions in the value stand for. Raises CannotExpand where one is malformed."""
    if isinstance(value, dict):
        if value.keys() == {"$repeat"}:
            unit, count = checked_repeat(value)
            return len(unit) * count
        if value.keys() == {"$elided"}:
            match value["$elided"]:
                case {"length": int(), "starts": str(), "ends": str()}:
                    return 0
                case _:
                    raise CannotExpand("$elided has to be an object with length, starts and ends")
        return sum(check_short_forms(part) for part in value.values())
    if isinstance(value, list):
        return sum(check_short_forms(part) for part in value)
    return 0


def _contract(text: str) -> Any:
    length = len(text)
    if length <= LONGEST_PLAIN:
        return text
    for size in range(1, LONGEST_UNIT + 1):
        unit = text[:size]
        if length % size == 0 and text[size : 2 * size] == unit and text == unit * (length // size):
            return {"$repeat": [unit, length // size]}
    return {"$elided": {"length": length, "starts": text[:STARTS], "ends": text[-ENDS:]}}


def _mapped(value: Any, change: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [_mapped(part, change) for part in value]
    return value
