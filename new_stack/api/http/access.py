"""Who may come in, and what they may do: by a token, or by the cookie that somebody got for one."""

from __future__ import annotations

import hmac
from enum import IntEnum
from typing import Final

from aiohttp import web

from new_stack.api.guard.cookies import COOKIE, token_behind
from new_stack.api.http.problems import problem
from new_stack.api.settings import ApiSettings

OPEN_PATHS: Final = frozenset(
    {"/", "/health", "/health/live", "/health/ready", "/openapi.json", "/dashboard", "/api/session"}
)
"""Served without a token: what a load balancer asks, documents that hold no data, and where one signs in."""

READING: Final = frozenset({"GET", "HEAD"})


class Access(IntEnum):
    """What a caller may do; each may do what those before it may."""

    NONE = 0
    READ = 1
    WRITE = 2


def shown_token(request: web.Request) -> str:
    """The token that a request carries: `Authorization: Bearer` or, as other programs' sockets have to, `?token=`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return request.query.get("token", "")


def access_of(request: web.Request, settings: ApiSettings, now: float) -> Access:
    """What the request's token allows, or else the one that its cookie stands for."""
    tokens = (settings.token, settings.read_token)
    shown = shown_token(request) or token_behind(request.cookies.get(COOKIE, ""), tokens, now)
    return access_by_token(shown, settings)


def access_by_token(shown: str, settings: ApiSettings) -> Access:
    """What a token allows; without one set, everybody may do everything.

    The comparison takes the same time wherever the texts differ.
    """
    given = shown.encode(errors="surrogateescape")  # headers may hold any bytes
    if not settings.token or hmac.compare_digest(given, settings.token.encode()):
        return Access.WRITE
    reads = bool(settings.read_token) and hmac.compare_digest(given, settings.read_token.encode())
    return Access.READ if reads else Access.NONE


def require_access(request: web.Request, settings: ApiSettings, now: float) -> None:
    """Raises a problem where an HTTP request may not be answered: 401 without a token, 403 where it may only read."""
    path = request.path
    if settings.open_rest or path in OPEN_PATHS or path.startswith(("/ws/", "/dashboard/")):
        return
    access = access_of(request, settings, now)
    if access is Access.NONE:
        raise wrong_token()
    if access is Access.READ and request.method not in READING:
        raise problem(403, "This token may only read.", hint="Show the token that WEBSOCKET_AUTH_TOKEN has.")


def wrong_token() -> Exception:
    """401, in the hub's words."""
    return problem(
        401,
        "Authentication failed: Invalid token",
        headers={"WWW-Authenticate": 'Bearer realm="hubgate"'},
        hint="Send the token as 'Authorization: Bearer TOKEN' or as '?token=TOKEN', or sign in at /api/session.",
    )
