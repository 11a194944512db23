"""What a step of the hub works on: its state besides the jobs, and the messages that the step sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from legacy_hub_sim.core import messages
from legacy_hub_sim.core.connections import Close, Frame, Outgoing, Peer, Role, Style
from legacy_hub_sim.core.jobs import JobRepository
from legacy_hub_sim.core.messages import Message
from legacy_hub_sim.faults import Fault


class WorkerRecord(msgspec.Struct):
    """What a registration opens and a disconnection does not close."""

    registered_at: float
    last_heartbeat: float
    status: str = "idle"
    current_job_id: str = ""
    jobs_processed: int = 0
    last_job_completed_at: float = 0
    updated_at: float = 0


class PersistedState(msgspec.Struct):
    """The part of the memory that a hub without `amnesia` keeps over a restart."""

    records: dict[str, WorkerRecord] = msgspec.field(default_factory=dict)
    subscribers: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """Job id to client ids."""
    failed_by: dict[str, set[str]] = msgspec.field(default_factory=dict)
    """Worker id to the ids of the jobs it failed."""


class HubState:
    """Connections, workers, subscriptions."""

    def __init__(self) -> None:
        self.connections: dict[Role, dict[str, int]] = {role: {} for role in Role}
        self.unread: set[int] = set()
        """Connections that are open and no longer read."""
        self.stats_subscribers: dict[str, None] = {}
        self.notified_of_jobs: dict[str, None] = {}
        """Workers that subscribed to job notifications."""
        self.filters: dict[str, frozenset[Any]] = {}
        """Monitor id to the message types it wants of broadcasts; empty is all."""
        self.status: dict[str, str] = {}
        self.capabilities: dict[str, dict[str, Any]] = {}
        self.heartbeat_at: dict[str, float] = {}
        self.running: dict[str, str] = {}
        """Worker id to job id."""
        self.persisted = PersistedState()

    def connection(self, role: Role, name: str) -> int | None:
        """The connection that messages for this name go to, the latest one opened under it."""
        return self.connections[role].get(name)

    def accepts_jobs(self, worker: str) -> bool:
        """What monitors are shown as `is_accepting_jobs`."""
        return (
            worker in self.notified_of_jobs
            and self.status.get(worker) != "disconnected"
            and worker in self.connections[Role.WORKER]
        )


class StepContext:
    """Everything in it but `out` belongs to the hub; `out` is what this step wants sent, in order."""

    def __init__(
        self, state: HubState, jobs: JobRepository, faults: frozenset[Fault], now: float, new_id: Callable[[], str]
    ) -> None:
        self.state = state
        self.jobs = jobs
        self.faults = faults
        self.now = now
        self.new_id = new_id
        self.out: list[Outgoing] = []

    def to(self, role: Role, name: str, message: Message, style: Style = Style.COMPACT) -> bool:
        """Send to whoever is connected under a name; False when nobody is."""
        connection = self.state.connection(role, name)
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
        self.state.unread.add(connection)
        self.out.append(Close(connection, 1000, reason))

    def to_monitors(self, message: Message, style: Style = Style.SPACED) -> None:
        """Send to every monitor, whatever it subscribed to: messages about jobs and connectors."""
        for connection in self.state.connections[Role.MONITOR].values():
            self.out.append(Frame(connection, message, style))

    def broadcast(self, message: Message) -> None:
        """Send to the monitors that want this type, each time followed by an `ack`."""
        for name, connection in self.state.connections[Role.MONITOR].items():
            wanted = self.state.filters.get(name)
            if wanted and message["type"] not in wanted:
                continue
            self.out.append(Frame(connection, message, Style.SPACED))
            self.out.append(Frame(connection, messages.ack(message, self.now), Style.SPACED))
