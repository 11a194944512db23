"""One step of the hub: what a handler may look at, and how it says what it wants sent."""

from __future__ import annotations

from collections.abc import Callable

from legacy_hub_sim.core import messages
from legacy_hub_sim.core.jobs import JobBook
from legacy_hub_sim.core.messages import Message
from legacy_hub_sim.core.outgoing import Close, Frame, Outgoing, Style
from legacy_hub_sim.core.peers import Peer, Role
from legacy_hub_sim.core.state import Memory
from legacy_hub_sim.faults import Fault


class Turn:
    """Everything in it but `out` belongs to the hub; `out` is what this step wants sent, in order."""

    def __init__(
        self, memory: Memory, jobs: JobBook, faults: frozenset[Fault], now: float, new_id: Callable[[], str]
    ) -> None:
        self.memory = memory
        self.jobs = jobs
        self.faults = faults
        self.now = now
        self.new_id = new_id
        self.out: list[Outgoing] = []

    def to(self, role: Role, name: str, message: Message, style: Style = Style.COMPACT) -> bool:
        """Send to whoever is connected under a name; False when nobody is."""
        connection = self.memory.connection(role, name)
        if connection is None:
            return False
        self.out.append(Frame(connection, message, style, chunked=role is Role.WORKER))
        return True

    def reply(self, peer: Peer, message: Message, style: Style = Style.COMPACT) -> None:
        """Send on the very connection that asked."""
        self.out.append(Frame(peer.connection, message, style))

    def error(self, role: Role, name: str, text: str) -> None:
        """Send the usual error."""
        self.to(role, name, messages.error(text, self.now))

    def close(self, connection: int, reason: str) -> None:
        """Close a connection the ordinary way; what may still come from it is not read."""
        self.memory.deaf.add(connection)
        self.out.append(Close(connection, 1000, reason))

    def to_monitors(self, message: Message, style: Style = Style.SPACED) -> None:
        """Send to every monitor, whatever it subscribed to: messages about jobs and connectors."""
        for connection in self.memory.connections[Role.MONITOR].values():
            self.out.append(Frame(connection, message, style))

    def broadcast(self, message: Message) -> None:
        """Send to the monitors that want this type, each time followed by an `ack`."""
        for name, connection in self.memory.connections[Role.MONITOR].items():
            wanted = self.memory.filters.get(name)
            if wanted and message["type"] not in wanted:
                continue
            self.out.append(Frame(connection, message, Style.SPACED))
            self.out.append(Frame(connection, messages.ack(message, self.now), Style.SPACED))
