"""Which requests are let in: the token, the origin, and the address that a request comes from."""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

from new_stack.api.http.problems import problem

OPEN_PATHS: Final = frozenset({"/", "/health", "/health/live", "/health/ready", "/openapi.json", "/dashboard"})
"""Served without a token: what a load balancer asks, and documents that hold no data."""

ALLOWED_METHODS: Final = "GET, POST, OPTIONS"
ALLOWED_HEADERS: Final = "Authorization, Content-Type, Last-Event-ID, Cache-Control"


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


def cors_headers(request: web.BaseRequest, origins: tuple[str, ...]) -> dict[str, str]:
    """The CORS headers for this request's origin; none where there is no origin or it is not allowed."""
    origin = request.headers.get("Origin")
    if origin is None:
        return {}
    if "*" in origins:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Location, Retry-After"}
    if origin not in origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Location, Retry-After",
        "Vary": "Origin",
    }


def preflight(request: web.Request, origins: tuple[str, ...]) -> web.Response:
    """The answer to a browser that asks whether a page may send a request."""
    headers = cors_headers(request, origins)
    if headers:
        headers |= {
            "Access-Control-Allow-Methods": ALLOWED_METHODS,
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": "600",
        }
    return web.Response(status=204, headers=headers)


def address_of(request: web.Request, *, trust_forwarded: bool) -> str:
    """The address a connection is counted under."""
    if trust_forwarded:
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return request.remote or "unknown"
