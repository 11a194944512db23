"""Where two messages differ, field by field. A field that is added is no difference, but in what users put in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from harness.parity.normalize import USER_DATA

ABSENT: Final = "(absent)"


class FieldDifference(msgspec.Struct, frozen=True):
    """One field with both its values; a side without the field has ABSENT."""

    path: str
    expected: Any
    observed: Any


def differences(expected: Any, observed: Any, path: str = "", *, user_data: bool = False) -> Iterator[FieldDifference]:
    """Every field in which the observed value is not the expected one."""
    if isinstance(expected, dict) and isinstance(observed, dict):
        for key, part in expected.items():
            inner = _inside(path, key)
            if key in observed:
                yield from differences(part, observed[key], inner, user_data=user_data or key in USER_DATA)
            else:
                yield FieldDifference(inner, part, ABSENT)
        if user_data:
            added = (key for key in observed if key not in expected)
            yield from (FieldDifference(_inside(path, key), ABSENT, observed[key]) for key in added)
    elif isinstance(expected, list) and isinstance(observed, list) and len(expected) == len(observed):
        for place, (one, other) in enumerate(zip(expected, observed, strict=True)):
            yield from differences(one, other, f"{path}[{place}]", user_data=user_data)
    elif not same_scalar(expected, observed):
        yield FieldDifference(path, expected, observed)


def same_scalar(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and neither is true."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _inside(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
