"""The API server's settings: built once, from options over environment over defaults, and passed in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from new_stack.queue import QueueSettings
from new_stack.settings import Settings, SettingsError


class ApiSettings(Settings, frozen=True, kw_only=True):
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
    read_token: str = ""
    """Who shows this one may look at everything and change nothing."""
    open_rest: bool = False
    """With a token set, leave HTTP unguarded as the hub did, for legacy REST callers that have no token yet."""
    later_rest: bool = False
    """Serve the REST of the later dialect's time as well: `/jobs`, `/workers`, `/queue/*`, `/system/status`."""
    token_file: str = ""
    """Read the token from this file, so that it stands in no environment."""
    read_token_file: str = ""
    """Read the token that may only read from this file."""
    deprecation_file: str = ""
    """A TOML file with notices, brown-outs and the final switch of the hub's protocols; it may change at any time."""
    deprecation: str = ""
    """The same as text; it holds for the life of the process."""
    cors_origins: tuple[str, ...] = ()
    """Web pages of these origins may use the API from a browser, beside those that it serves itself; `*` is any."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which this server is known, beside addresses and names without a dot. Asked for without a token."""
    body_limit: int = 12_000_000
    bodies_limit: int = 64_000_000
    """What all bodies that are being received or handled may hold together."""
    body_timeout_ms: int = 30_000
    """How long a caller may take to send its body."""
    message_limit: int = 12_000_000
    """The largest WebSocket message a client may send."""
    header_timeout_ms: int = 10_000
    """How long a new connection may take to send its first request's headers."""
    batch_limit: int = 1_000
    """How many jobs one POST may carry."""
    connections_per_address: int = 2_000
    """Long-lived connections (SSE, WebSocket) from one address at once."""
    messages_per_second: int = 500
    """What one WebSocket may send, sustained; twice that in a burst. Beyond it, its messages wait unread."""
    subscriptions_per_connection: int = 10_000
    subscriber_queue: int = 1_000
    """Events that wait for one slow reader before it is disconnected."""
    send_timeout_ms: int = 20_000
    """How long one write to a client that does not read may take."""
    trust_forwarded: bool = False
    """Behind a proxy that sets X-Forwarded-For: count connections by the address it names."""
    keepalive_ms: int = 15_000
    sse_retry_ms: int = 1_000
    stats_changed_ms: int = 1_000
    """How often monitors are notified when something changed."""
    stats_idle_ms: int = 5_000
    """How often monitors are notified anyway."""
    system_heartbeat_ms: int = 30_000
    """How often a monitor of the later dialect is told that the server lives."""
    reap_ms: int = 1_000
    shutdown_notice_ms: int = 1_000
    """How long, once told to stop, it goes on serving while `/health/ready` says that it will not be there."""
    shutdown_grace_ms: int = 5_000
    queue: QueueSettings = QueueSettings()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Self:
        """Read every setting; a token's file wins over the token. Raises SettingsError."""
        settings = super().from_environment(environment, options)
        files = {"token": settings.token_file, "read_token": settings.read_token_file}
        read = {name: _read_token(path) for name, path in files.items() if path}
        settings = msgspec.structs.replace(settings, **read)
        if settings.read_token and not settings.token:
            raise SettingsError("HUBGATE_READ_TOKEN needs WEBSOCKET_AUTH_TOKEN: without it, everybody may write.")
        return settings

    def check(self) -> None:
        """Raises SettingsError for a number that makes no sense."""
        if not 0 <= self.port <= 65_535:
            raise SettingsError(f"The port must be between 0 and 65535, not {self.port}.")
        super().check()


def _read_token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The token cannot be read from {path}: {error}.") from None
    if not token:
        raise SettingsError(f"The token file {path} is empty.")
    return token
