"""The worker's settings: built once, from options over environment over defaults, and passed in."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any, ClassVar

import msgspec

from new_stack.queue.settings import QueueSettings
from new_stack.settings import Settings, SettingsError
from new_stack.worker.capabilities import parse as parse_capabilities
from new_stack.worker.connector_spec import BUILT_IN, ConnectorSpec, parse_list


def fresh_worker_id() -> str:
    """An id that no other worker has: host, process and a random end."""
    return f"worker-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class WorkerSettings(Settings, frozen=True, kw_only=True):
    """How one worker process behaves. Times are ms unless the name says otherwise."""

    PREFIX = "WORKER_"
    NAMES: ClassVar = {"worker_id": "WORKER_ID"}
    PARSERS: ClassVar = {"connectors": parse_list, "capabilities": parse_capabilities}
    ZERO_ALLOWED: ClassVar = frozenset({"job_timeout_minutes", "shutdown_grace_ms"})

    worker_id: str = msgspec.field(default_factory=fresh_worker_id)
    """Must be this worker's alone; leave it out where several are started from one configuration."""
    connectors: tuple[ConnectorSpec, ...] = ()
    """What it runs jobs with; a worker process does not start without one."""
    capabilities: dict[str, Any] = msgspec.field(default_factory=dict)
    """What the worker tells of itself: hardware, models and whatever an operator states."""
    max_concurrent_jobs: int = 1
    """How many jobs run at once."""
    poll_interval_ms: int = 1_000
    """How often workers reap, about five of them each time: put back jobs whose worker vanished, and wake idle workers
    for jobs that nobody came for. A submission wakes one at once all the same."""
    heartbeat_interval_ms: int = 5_000
    """How often it says that it is alive and renews its leases."""
    job_timeout_minutes: float = 30
    """How long one attempt may take; then it is stopped and counts as failed. 0: as long as it likes."""
    shutdown_grace_ms: int = 30_000
    """How long SIGTERM lets running jobs finish before they are handed back."""
    stop_grace_ms: int = 10_000
    """How long a connector may take to stop a job that was cancelled, before it is left behind."""
    connect_timeout_ms: int = 30_000
    """How long it waits for Redis at its start before it gives up."""
    queue: QueueSettings = QueueSettings()

    def check(self) -> None:
        """Raise SettingsError where a value cannot work, alone or beside another."""
        super().check()
        if not self.worker_id or len(self.worker_id) > 200:
            raise SettingsError("WORKER_ID must have 1 to 200 characters.")
        if not self.connectors:
            raise SettingsError(
                "WORKER_CONNECTORS names no connector: say what this worker runs jobs with, there or with --connector "
                f"(there are {', '.join(BUILT_IN)}, or one of an installed package; simulation only plays scripts)."
            )
        shortest = min(self.queue.lease_ms, self.queue.heartbeat_ttl_ms)
        if self.heartbeat_interval_ms * 2 > shortest:
            raise SettingsError(
                f"WORKER_HEARTBEAT_INTERVAL_MS is {self.heartbeat_interval_ms}: it may be at most half of "
                f"HUBGATE_LEASE_MS and of HUBGATE_HEARTBEAT_TTL_MS (the shorter is {shortest})."
            )
