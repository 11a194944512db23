"""The API server's settings: built once, from options over environment over defaults, and passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec

from new_stack.api.guard.settings import GuardSettings, tokens_of_files
from new_stack.queue import QueueSettings
from new_stack.settings import SettingsError


class ApiSettings(GuardSettings, frozen=True, kw_only=True):
    """How one API process behaves. Times are ms, sizes bytes."""

    NAMES: ClassVar[Mapping[str, str]] = {
        "host": "API_HOST",
        "port": "API_PORT",
        "token": "WEBSOCKET_AUTH_TOKEN",
        "cors_origins": "CORS_ORIGINS",
    }
    """Settings known by the names that deployments of the hub already use."""
    ZERO_ALLOWED: ClassVar = frozenset({"port", "shutdown_notice_ms"})

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    """Where set, every connection and every request but health, `/` and the documents has to show it."""
    keepalive_ms: int = 15_000
    stats_changed_ms: int = 1_000
    """How often monitors are notified when something changed."""
    stats_idle_ms: int = 5_000
    """How often monitors are notified anyway."""
    reap_ms: int = 1_000
    batch_limit: int = 1_000
    """How many jobs one POST may carry."""
    later_rest: bool = False
    """Serve the REST of the later dialect's time as well: `/jobs`, `/workers`, `/queue/*`, `/system/status`."""
    system_heartbeat_ms: int = 30_000
    """How often a monitor of the later dialect is told that the server lives."""
    deprecation_file: str = ""
    """A TOML file with notices, brown-outs and the final switch of the hub's protocols; it may change at any time."""
    deprecation: str = ""
    """The same as text; it holds for the life of the process."""
    sse_retry_ms: int = 1_000
    shutdown_notice_ms: int = 1_000
    """How long, once told to stop, it goes on serving while `/health/ready` says that it will not be there."""
    shutdown_grace_ms: int = 5_000
    queue: QueueSettings = QueueSettings()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Self:
        """Read every setting; a token's file wins over the token. Raises SettingsError."""
        settings = super().from_environment(environment, options)
        tokens = tokens_of_files(token=settings.token_file, read_token=settings.read_token_file)
        settings = msgspec.structs.replace(settings, **tokens)
        if settings.read_token and not settings.token:
            raise SettingsError("HUBGATE_READ_TOKEN needs WEBSOCKET_AUTH_TOKEN: without it, everybody may write.")
        return settings

    def check(self) -> None:
        """Raises SettingsError for a number that makes no sense."""
        if not 0 <= self.port <= 65_535:
            raise SettingsError(f"The port must be between 0 and 65535, not {self.port}.")
        super().check()
