"""What a load run is: the target, the users, the fleet, the plan. One struct, also readable from JSON."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from harness.load.jobs import DEFAULT_JOB, JobSpec
from harness.load.plan import Plan, Shape
from harness.load.verdict import Demands


class Side(StrEnum):
    """What is under load."""

    HUB = "hub"
    STACK = "stack"


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """How many users of each kind. On a hub, which has no other protocol, all of them speak the old one."""

    legacy: int = 10
    sse: int = 8
    hybrid: int = 0
    monitors: int = 1
    sse_monitors: int = 1

    def on(self, side: Side) -> dict[str, int]:
        """Locust's user classes and their numbers against that side."""
        if side is Side.HUB:
            return _present(
                LegacyWebSocketUser=self.legacy + self.sse + self.hybrid, MonitorUser=self.monitors + self.sse_monitors
            )
        return _present(
            LegacyWebSocketUser=self.legacy,
            ModernSseUser=self.sse,
            HybridUser=self.hybrid,
            MonitorUser=self.monitors,
            SseMonitorUser=self.sse_monitors,
        )

    @property
    def users(self) -> int:
        """All of them."""
        return self.legacy + self.sse + self.hybrid + self.monitors + self.sse_monitors

    @classmethod
    def of(cls, users: int, shape: Shape = Shape.STEADY) -> Mix:
        """The usual mix of that many: half legacy, 40 % SSE, 10 % monitors; in a migration, who submits is hybrid."""
        monitors = max(1, users // 10)
        by_socket = (monitors + 1) // 2
        if shape is Shape.MIGRATION:
            hybrid = users - monitors
            return cls(legacy=0, sse=0, hybrid=hybrid, monitors=by_socket, sse_monitors=monitors - by_socket)
        legacy = users // 2
        return cls(
            legacy=legacy,
            sse=max(0, users - legacy - monitors),
            monitors=by_socket,
            sse_monitors=monitors - by_socket,
        )


class Kills(msgspec.Struct, frozen=True, kw_only=True):
    """Workers that are killed while the load runs, and started again."""

    share: float = 0.33
    """Of the fleet, in each wave."""
    every_s: float = 5.0
    waves: int = 0


class LoadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One load run. Without `url` the side is started, and everything about it measured."""

    side: Side = Side.STACK
    plan: Plan = Plan()
    mix: Mix = Mix()
    fleet: int = 48
    """Worker processes of ours (on a hub: connections of one process); 0 where the target has its own."""
    url: str | None = None
    redis: str | None = None
    """The Redis to use; without one an embedded Valkey is started."""
    prefix: str = ""
    token: str | None = None
    poll_ms: int = 1000
    worker_environment: dict[str, str] = {}
    server_environment: dict[str, str] = {}
    """Settings of our workers, and of our API or hub."""
    overlay: str | None = None
    """A folder whose modules come first: a stack with something made wrong in it."""
    generators: int = 1
    """Locust processes that make the load; above 1, one more is their master."""
    drain_s: float = 20.0
    job: JobSpec = DEFAULT_JOB
    kills: Kills = Kills()
    demands: Demands = Demands()
    checked: bool = True
    """Whether the system's own account is recorded, too, and the checkers judge the whole history."""
    durable: bool = False
    """Whether the embedded Valkey keeps an append-only file, so that it can be killed."""
    sample_s: float = 2.0
    """How often memory and queue depth are sampled."""


def _present(**users: int) -> dict[str, int]:
    return {name: count for name, count in users.items() if count}
