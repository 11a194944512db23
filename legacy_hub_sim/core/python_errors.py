"""The errors of its inner workings that the hub shows to whoever sent the message.

Their words are those of Python and of the Redis client, because that is where they come from in the hub.
"""

from __future__ import annotations

import math
from typing import Any


class PythonError(Exception):
    """Becomes "Server error processing message: <text>"."""

    @property
    def text(self) -> str:
        """The words shown."""
        return str(self.args[0])


def no_object(value: Any) -> PythonError:
    """What comes of a message that is JSON but no object."""
    return PythonError(f"'{type(value).__name__}' object has no attribute 'get'")


def stored(value: Any) -> str:
    """A value as the Redis client stores it; raises `PythonError` for what it refuses."""
    match value:
        case bool() | None | list() | dict():
            kind = type(value).__name__
            raise PythonError(f"Invalid input of type: '{kind}'. Convert to a bytes, string, int or float first.")
        case float():
            return repr(value)
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise PythonError(str(error)) from None
            return value
    return str(value)


def whole(text: str) -> int:
    """A stored text read as a whole number; raises `PythonError` with Python's words."""
    try:
        return int(text)
    except ValueError as error:
        raise PythonError(str(error)) from None


def queue_score(priority: Any, created_at: float) -> float:
    """Where a job goes in the queue: priority before age. Raises `PythonError` where the sum cannot be made."""
    try:
        score = float((priority + 1) * 10_000_000_000 - created_at)
    except (TypeError, OverflowError) as error:
        raise PythonError(str(error)) from None
    if math.isnan(score):
        raise PythonError("value is not a valid float")
    return score
