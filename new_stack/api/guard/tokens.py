"""HTTP by token, which the hub asked of WebSockets alone."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from new_stack.api.http.access import Access, access_of
from new_stack.api.http.problems import ProblemError
from new_stack.api.settings import ApiSettings

OPEN_PATHS: Final = frozenset(
    {"/", "/health", "/health/live", "/health/ready", "/openapi.json", "/dashboard", "/api/session"}
)
"""Served without a token: what a load balancer asks, documents that hold no data, and where one signs in."""

READING: Final = frozenset({"GET", "HEAD"})


def require_access(request: web.Request, settings: ApiSettings, now: float) -> None:
    """Raises a problem where an HTTP request may not be answered: 401 without a token, 403 where it may only read."""
    path = request.path
    if settings.open_rest or path in OPEN_PATHS or path.startswith(("/ws/", "/dashboard/")):
        return
    access = access_of(request, settings, now)
    if access is Access.NONE:
        raise wrong_token()
    if access is Access.READ and request.method not in READING:
        raise ProblemError(403, "This token may only read.", hint="Show the token that WEBSOCKET_AUTH_TOKEN has.")


def wrong_token() -> Exception:
    """401, in the hub's words."""
    return ProblemError(
        401,
        "Authentication failed: Invalid token",
        headers={"WWW-Authenticate": 'Bearer realm="hubgate"'},
        hint="Send the token as 'Authorization: Bearer TOKEN' or as '?token=TOKEN', or sign in at /api/session.",
    )
