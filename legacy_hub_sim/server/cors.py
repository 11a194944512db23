"""Which web pages may ask the hub: all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


@web.middleware
async def cors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer the question a browser asks first, and mark every answer to a page as readable."""
    origin = request.headers.get("Origin")
    if origin is None:
        return await handler(request)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(text="OK", headers=preflight(request, origin))
    response = await handler(request)
    if not response.prepared:
        response.headers["Access-Control-Allow-Origin"] = origin if "Cookie" in request.headers else "*"
        response.headers["Access-Control-Allow-Credentials"] = "true"
    return response


def preflight(request: web.Request, origin: str) -> dict[str, str]:
    """What a browser is allowed."""
    headers = {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Max-Age": "600",
    }
    if asked := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = asked
    return headers
