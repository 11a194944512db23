"""The settings of what the hub had not."""

from __future__ import annotations

from new_stack.api.guard.settings import GuardSettings


class FeatureSettings(GuardSettings, frozen=True, kw_only=True):
    """How it behaves. Times are ms."""

    later_rest: bool = False
    """Serve the REST of the later dialect's time as well: `/jobs`, `/workers`, `/queue/*`, `/system/status`."""
    deprecation_file: str = ""
    """A TOML file with notices, brown-outs and the final switch of the hub's protocols; it may change at any time."""
    deprecation: str = ""
    """The same as text; it holds for the life of the process."""
    batch_limit: int = 1_000
    """How many jobs one POST may carry."""
    sse_retry_ms: int = 1_000
    system_heartbeat_ms: int = 30_000
    """How often a monitor of the later dialect is told that the server lives."""
    shutdown_notice_ms: int = 1_000
    """How long, once told to stop, it goes on serving while `/health/ready` says that it will not be there."""
