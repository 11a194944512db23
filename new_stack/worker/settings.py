"""The worker's settings: built once, from options over environment over defaults, and passed in."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from new_stack.queue.settings import QueueSettings
from new_stack.settings import SettingsError, check_numbers, read_settings
from new_stack.worker.capabilities import parse as parse_capabilities
from new_stack.worker.connectors.spec import BUILT_IN, ConnectorSpec, parse_list

_ZERO_ALLOWED: Final = frozenset({"job_timeout_minutes", "shutdown_grace_ms"})


def fresh_worker_id() -> str:
    """An id that no other worker has: host, process and a random end."""
    return f"worker-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def environment_name(field: str) -> str:
    """The environment variable that sets a field."""
    return "WORKER_ID" if field == "worker_id" else f"WORKER_{field.upper()}"


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker process behaves. Times are ms unless the name says otherwise."""

    worker_id: str = msgspec.field(default_factory=fresh_worker_id)
    """Must be this worker's alone; leave it out where several are started from one configuration."""
    connectors: tuple[ConnectorSpec, ...] = ()
    """What it runs jobs with; a worker process does not start without one."""
    capabilities: dict[str, Any] = {}
    """What the worker tells of itself: hardware, models and whatever an operator states."""
    max_concurrent_jobs: int = 1
    """How many jobs run at once."""
    poll_interval_ms: int = 1_000
    """How often an idle worker looks for work on its own; a submission wakes it at once all the same."""
    heartbeat_interval_ms: int = 5_000
    """How often it says that it is alive and renews its leases."""
    job_timeout_minutes: float = 30
    """How long one attempt may take; then it is stopped and counts as failed. 0: as long as it likes."""
    shutdown_grace_ms: int = 30_000
    """How long SIGTERM lets running jobs finish before they are handed back."""
    stop_grace_ms: int = 10_000
    """How long a connector may take to stop a job that was cancelled, before it is left behind."""
    reap_interval_ms: int = 30_000
    """About how often even a busy worker puts back jobs whose worker vanished and forgets what has expired. (An idle
    one puts back jobs with every poll.)"""
    wait_ms: int = 5_000
    """How long one blocking wait for work lasts; at most 5 s, so that a half-open connection is noticed."""
    connect_timeout_ms: int = 30_000
    """How long it waits for Redis at its start before it gives up."""
    queue: QueueSettings = QueueSettings()

    @property
    def idle_ms(self) -> int:
        """For how long a worker that waits counts as idle: until its next poll, which prolongs that, and a little."""
        return self.poll_interval_ms * 3 // 2 + 500

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Self:
        """Read every setting; `options` (by field name, None where not given) win. Raises SettingsError."""
        queue = (options or {}).get("queue") or QueueSettings.from_environment(environment)
        given = {name: value for name, value in environment.items() if value and name != "WORKER_QUEUE"}
        parsers = {"connectors": parse_list, "capabilities": parse_capabilities}
        settings = read_settings(
            cls, given, {**(options or {}), "queue": queue}, name_of=environment_name, parsers=parsers
        )
        settings.check()
        return settings

    def check(self) -> None:
        """Raise SettingsError where a value cannot work, alone or beside another."""
        check_numbers(self, name_of=environment_name, zero_allowed=_ZERO_ALLOWED)
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
