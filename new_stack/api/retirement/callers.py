"""Who uses what: a client, its program, and the way (protocol and dialect) by which it comes. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

CLIENT_HEADER: Final = "Hubgate-Client"
"""By which a client says its id where the path does not, or where it opens several connections."""

AGENT_LENGTH: Final = 100
NAME_LENGTH: Final = 256

HUB_DIALECT, LATER_DIALECT, MODERN = "hub", "later", "modern"
WEBSOCKET, REST, HTTP, SSE = "websocket", "rest", "http", "sse"
LEGACY: Final = frozenset({WEBSOCKET, REST})
"""The protocols of the hub."""

MODERN_ROUTES: Final = {
    ("POST", "/api/jobs"): (HTTP, "submit"),
    ("GET", "/api/jobs"): (HTTP, "list"),
    ("GET", "/api/jobs/{job_id}"): (HTTP, "status"),
    ("POST", "/api/jobs/{job_id}/cancel"): (HTTP, "cancel"),
    ("POST", "/api/jobs/{job_id}/retry"): (HTTP, "retry"),
    ("GET", "/api/jobs/{job_id}/progress"): (SSE, "follow"),
    ("GET", "/api/events"): (SSE, "events"),
}
"""What a client of the modern side uses, by method and route; operators' routes are not counted."""

UNNAMED: Final = {REST: "rest-api-client", HTTP: "http-client", SSE: "http-client"}
"""Callers that say no id are counted together, apart by their user agents; the first is what the hub calls them."""


class Caller(msgspec.Struct, frozen=True):
    """Who uses which way."""

    client: str
    agent: str
    protocol: str
    dialect: str

    @property
    def named(self) -> bool:
        """Whether it has said who it is."""
        return self.client != UNNAMED.get(self.protocol)

    @property
    def way(self) -> str:
        """The way as it is counted."""
        return f"{self.protocol} {self.dialect}"


CALLER: Final = web.RequestKey("caller", Caller)
"""Where a request of the legacy side has its caller."""


def caller_of(request: web.Request, protocol: str, dialect: str, name: str = "") -> Caller:
    """The caller of a request or a connection; `name` is the one in its path."""
    client = _plain(request.headers.get(CLIENT_HEADER, ""), NAME_LENGTH) or name or UNNAMED[protocol]
    return Caller(client, _plain(request.headers.get("User-Agent", ""), AGENT_LENGTH), protocol, dialect)


def _plain(text: str, length: int) -> str:
    """Text of a header: it may hold any bytes, and be of any length."""
    return "".join(mark for mark in text[:length] if mark.isprintable() and not "\ud800" <= mark <= "\udfff").strip()
