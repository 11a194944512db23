"""The settings of what guards the server: limits, origins, hosts, and tokens that stand in files or may only read."""

from __future__ import annotations

from pathlib import Path

from new_stack.settings import Settings, SettingsError


class GuardSettings(Settings, frozen=True, kw_only=True):
    """Whom the server serves, and how much of it one caller may take. Times are ms, sizes bytes."""

    read_token: str = ""
    """Who shows this one may look at everything and change nothing."""
    open_rest: bool = False
    """With a token set, leave HTTP unguarded as the hub did, for legacy REST callers that have no token yet."""
    token_file: str = ""
    """Read the token from this file, so that it stands in no environment."""
    read_token_file: str = ""
    """Read the token that may only read from this file."""
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


def tokens_of_files(**paths: str) -> dict[str, str]:
    """The tokens in these files, where a path is given. Raises SettingsError."""
    return {name: _read_token(path) for name, path in paths.items() if path}


def _read_token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The token cannot be read from {path}: {error}.") from None
    if not token:
        raise SettingsError(f"The token file {path} is empty.")
    return token
