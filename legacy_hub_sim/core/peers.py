"""Who speaks to the hub: a role, the name it gave itself in its path, and the connection it does so on."""

from __future__ import annotations

import enum

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
