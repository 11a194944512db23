"""What the hub wants sent, as data."""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class Style(enum.Enum):
    """How the hub writes a message as text: clients see the same JSON, but chunks are cut from the text."""

    COMPACT = "compact"
    """No spaces, characters as they are."""
    SPACED = "spaced"
    """A space after comma and colon, ASCII only."""


class Frame(msgspec.Struct, frozen=True):
    """One message for one connection."""

    connection: int
    message: dict[str, Any]
    style: Style = Style.COMPACT
    chunked: bool = False
    """Whether it is cut into `chunked_message` frames when it is large (messages to workers are)."""


class Close(msgspec.Struct, frozen=True):
    """The hub closes a connection."""

    connection: int
    code: int = 1000
    reason: str = ""


Outgoing = Frame | Close
