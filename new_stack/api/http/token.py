"""The token: who shows it is let in."""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

from new_stack.api.http.problems import problem

OPEN_PATHS: Final = frozenset({"/", "/health", "/health/live", "/health/ready", "/openapi.json", "/dashboard"})
"""Served without a token: what a load balancer asks, and documents that hold no data."""


def shown_token(request: web.Request) -> str:
    """The token that a request carries: `Authorization: Bearer` or, as browsers' sockets have to, `?token=`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return request.query.get("token", "")


def token_holds(request: web.Request, token: str) -> bool:
    """Whether the request may come in. The comparison takes the same time wherever the texts differ."""
    shown = shown_token(request).encode(errors="surrogateescape")  # headers may hold any bytes
    return not token or hmac.compare_digest(shown, token.encode())


def require_token(request: web.Request, token: str, *, open_rest: bool) -> None:
    """Raises a 401 problem where an HTTP request needs a token and shows none or a wrong one."""
    if not token or open_rest or request.path in OPEN_PATHS or request.path.startswith("/ws/"):
        return
    if not token_holds(request, token):
        raise problem(
            401,
            "Authentication failed: Invalid token",
            headers={"WWW-Authenticate": 'Bearer realm="hubgate"'},
            hint="Send the token as 'Authorization: Bearer TOKEN' or as '?token=TOKEN'.",
        )
