"""What a hub process is told at its start: environment first, options over it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from legacy_hub_sim.faults import ALL_FAULTS, Fault


class Settings(msgspec.Struct, frozen=True):
    """One hub process. Without a `redis_url` the jobs are kept in this process's memory."""

    host: str = "127.0.0.1"
    port: int = 8001
    redis_url: str = ""
    token: str = ""
    faults: frozenset[Fault] = ALL_FAULTS
    stuck_seconds: float = 40
    """How long one send may wait for a peer that does not read before its connection is cut."""
    ping_seconds: float = 20
    """How often a quiet connection is pinged."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Defaults, and over them `REDIS_URL` and `WEBSOCKET_AUTH_TOKEN`, the variables the hub knows."""
        return cls(
            redis_url=environment.get("REDIS_URL", ""),
            token=environment.get("WEBSOCKET_AUTH_TOKEN", ""),
        )
