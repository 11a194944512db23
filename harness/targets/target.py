"""The address of what is judged: a hub or a stack, reachable by URL."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from harness.errors import CouldNotRun

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""The names of this machine."""
LEASE_MS = 10_000
RETRY_BACKOFF_MS = 500
"""What the stack's queue runs with where nobody says anything else."""


class Side(StrEnum):
    """Which of the two a target is."""

    HUB = "hub"
    STACK = "stack"


class _Target(msgspec.Struct, frozen=True, kw_only=True):
    """`http_url` has no slash at its end."""

    http_url: str
    owned: bool = False
    """Whether this run started it: then its state was emptied before, and ids that clients choose need no change."""
    token: str | None = None
    """The token that it demands. It also stands for a token that was blanked in a recording."""

    @property
    def ws_url(self) -> str:
        """Base URL for WebSockets."""
        return "ws" + self.http_url.removeprefix("http")

    @classmethod
    def at(cls, url: str, **more: Any) -> Self:
        """From `http://`, `https://`, `ws://` or `wss://` URL. Raises CouldNotRun for any other text."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise CouldNotRun(f"{url} is no URL of a target: {error}") from error
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme not in {"http", "https"} or not parts.hostname or port == 0:
            raise CouldNotRun(
                f"{url} is no URL of a target: it has to be http://, https://, ws:// or wss:// and a host"
            )
        base = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        return cls(http_url=base, **more)


class HubTarget(_Target, frozen=True, kw_only=True):
    """A hub: clients, workers and monitors all speak to it over WebSocket."""

    @property
    def side(self) -> Side:
        """HUB."""
        return Side.HUB


class StackTarget(_Target, frozen=True, kw_only=True):
    """A stack: clients speak to its API, workers to its Redis. The terms of its queue are those its API runs with."""

    redis_url: str
    prefix: str = ""
    lease_ms: int = LEASE_MS
    retry_backoff_ms: int = RETRY_BACKOFF_MS

    @property
    def side(self) -> Side:
        """STACK."""
        return Side.STACK


Target = HubTarget | StackTarget
