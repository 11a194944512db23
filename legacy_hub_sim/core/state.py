"""What the hub's process knows besides the jobs. All of it is gone with the process: fault `amnesia`."""

from __future__ import annotations

from typing import Any

import msgspec

from legacy_hub_sim.core.peers import Role


class WorkerRecord(msgspec.Struct):
    """What a registration opens and a disconnection does not close."""

    registered_at: float
    last_heartbeat: float
    status: str = "idle"
    current_job_id: str = ""
    jobs_processed: int = 0
    last_job_completed_at: float = 0
    updated_at: float = 0


class Kept(msgspec.Struct):
    """The part of the memory that a hub without `amnesia` keeps over a restart."""

    records: dict[str, WorkerRecord] = msgspec.field(default_factory=dict)
    subscribers: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """Job id to client ids."""
    failed_by: dict[str, set[str]] = msgspec.field(default_factory=dict)
    """Worker id to the ids of the jobs it failed."""


class Memory:
    """Connections, workers, subscriptions."""

    def __init__(self) -> None:
        self.connections: dict[Role, dict[str, int]] = {role: {} for role in Role}
        self.deaf: set[int] = set()
        """Connections that are open and no longer read."""
        self.stats_subscribers: dict[str, None] = {}
        self.told_of_jobs: dict[str, None] = {}
        """Workers that subscribed to job notifications."""
        self.filters: dict[str, frozenset[Any]] = {}
        """Monitor id to the message types it wants of broadcasts; empty is all."""
        self.status: dict[str, str] = {}
        self.capabilities: dict[str, dict[str, Any]] = {}
        self.heartbeat_at: dict[str, float] = {}
        self.running: dict[str, str] = {}
        """Worker id to job id."""
        self.kept = Kept()

    def connection(self, role: Role, name: str) -> int | None:
        """The connection that messages for this name go to, the latest one opened under it."""
        return self.connections[role].get(name)

    def accepts_jobs(self, worker: str) -> bool:
        """What monitors are shown as `is_accepting_jobs`."""
        return (
            worker in self.told_of_jobs
            and self.status.get(worker) != "disconnected"
            and worker in self.connections[Role.WORKER]
        )
