"""The hub's connections as data: who is at the other end, and what is to be sent there."""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class Role(enum.StrEnum):
    """The three paths of the hub."""

    CLIENT = "client"
    WORKER = "worker"
    MONITOR = "monitor"

    @property
    def spoken(self) -> str:
        """How the hub's own sentences write it."""
        return self.value.capitalize()


class Peer(msgspec.Struct, frozen=True):
    """One connection; two connections may carry the same role and name, and the hub knows them apart by number."""

    role: Role
    name: str
    connection: int


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
