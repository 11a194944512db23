"""Which web pages may send requests: by their origin, by the host that they name, by the type of the body."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from new_stack.api.http.problems import ProblemError
from new_stack.api.settings import ApiSettings

ALLOWED_METHODS: Final = "GET, POST, DELETE, OPTIONS"
ALLOWED_HEADERS: Final = "Authorization, Content-Type, Last-Event-ID, Cache-Control"


PAGE_TYPES: Final = frozenset({"text/plain", "multipart/form-data", "application/x-www-form-urlencoded"})
"""Bodies of these types need no preflight: what a form, or a script that hides its intention, sends."""


def require_own_page(request: web.Request, settings: ApiSettings) -> None:
    """Refuse what a foreign web page makes a browser send: 421 for a foreign host, 403 for a foreign origin.

    Without a token, whoever reaches the server may use it; a browser on the same machine reaches it on behalf of any
    page that it shows. A browser names the page's origin with every write and WebSocket. A page whose own name was
    made to point here (DNS rebinding) is of the same origin: there the host gives it away.
    """
    origin = request.headers.get("Origin")
    guarded = settings.token and not settings.open_rest
    if not guarded and (origin is not None or _is_loopback(settings.host)) and not _is_known_host(request, settings):
        raise ProblemError(
            421, "This server is not known by the host name of the request.", hint="Name it in HUBGATE_ALLOWED_HOSTS."
        )
    if request.method in {"GET", "HEAD", "OPTIONS"} and request.headers.get("Upgrade", "").lower() != "websocket":
        return
    foreign = request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"} if origin is None else True
    if foreign and not _is_allowed(origin or "null", request, settings):
        raise ProblemError(
            403, "Pages of this origin may not use this server.", hint="Name the origin in CORS_ORIGINS."
        )


def require_json(request: web.Request) -> None:
    """Raises a 415 problem for a type of body that a page may send anywhere without asking the server first."""
    if request.content_type in PAGE_TYPES:
        raise ProblemError(415, "The body must be JSON.", hint="Send it with 'Content-Type: application/json'.")


def _is_allowed(origin: str, request: web.Request, settings: ApiSettings) -> bool:
    own = origin.partition("://")[2] == _host(request, settings)
    return own or "*" in settings.cors_origins or origin in settings.cors_origins


def _host(request: web.Request, settings: ApiSettings) -> str:
    forwarded = request.headers.get("X-Forwarded-Host", "") if settings.trust_forwarded else ""
    return forwarded.partition(",")[0].strip() or request.host


def _is_known_host(request: web.Request, settings: ApiSettings) -> bool:
    """Whether no page from elsewhere can have this host name: an address, a local name, or one that is listed."""
    try:
        name = urlsplit(f"//{_host(request, settings)}").hostname or ""
    except ValueError:
        return False
    listed = {settings.host, *settings.allowed_hosts, *(urlsplit(origin).hostname for origin in settings.cors_origins)}
    return "." not in name or name.endswith(".localhost") or name in listed or "*" in listed or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def cors_headers(request: web.BaseRequest, origins: tuple[str, ...]) -> dict[str, str]:
    """The CORS headers for this request's origin; none where there is no origin or it is not listed."""
    origin = request.headers.get("Origin")
    if origin is None:
        return {}
    exposed = {"Access-Control-Expose-Headers": "Location, Retry-After, Hubgate-Time"}
    if "*" in origins:
        return {"Access-Control-Allow-Origin": "*"} | exposed
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} | exposed if origin in origins else {}


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
