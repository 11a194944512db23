"""What is judged: a hub or a stack, reachable by URL."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from harness.errors import CouldNotRun


class Kind(StrEnum):
    """Which of the two sides a target is."""

    HUB = "hub"
    STACK = "stack"


class _Target(msgspec.Struct, frozen=True, kw_only=True):
    """`http_url` has no slash at its end."""

    http_url: str
    owned: bool = False
    """Whether this run started it: then its state was emptied before, and ids that clients choose need no change."""
    token: str | None = None
    """What stands for a token that was blanked in a recording."""

    @property
    def ws_url(self) -> str:
        """Base URL for WebSockets."""
        return "ws" + self.http_url.removeprefix("http")

    @classmethod
    def at(cls, url: str, **more: Any) -> Self:
        """From `http://`, `https://`, `ws://` or `wss://` URL. Raises CouldNotRun for any other text."""
        parts = urlsplit(url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme not in {"http", "https"} or not parts.hostname:
            raise CouldNotRun(f"{url} is no URL of a target: it has to begin with http://, https://, ws:// or wss://")
        base = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        return cls(http_url=base, **more)


class HubTarget(_Target, frozen=True, kw_only=True):
    """A hub: clients, workers and monitors all speak to it over WebSocket."""

    @property
    def kind(self) -> Kind:
        """HUB."""
        return Kind.HUB


class StackTarget(_Target, frozen=True, kw_only=True):
    """A stack: clients speak to its API, workers to its Redis. The terms of its queue are those its API runs with."""

    redis_url: str
    prefix: str = ""
    lease_ms: int = 10_000
    retry_backoff_ms: int = 500

    @property
    def kind(self) -> Kind:
        """STACK."""
        return Kind.STACK


Target = HubTarget | StackTarget
