"""Requests over HTTP as uses: of the legacy REST, and of the modern routes beside it."""

from __future__ import annotations

from aiohttp import web

from new_stack.api.retirement.callers import CALLER, MODERN, MODERN_ROUTES, REST, caller_of
from new_stack.api.services import SERVICES


def count_rest(request: web.Request, dialect: str, route: str) -> None:
    """Count a call of the legacy REST."""
    caller = request[CALLER] = caller_of(request, REST, dialect)
    request.app[SERVICES].usage.count(caller, route)


def count_modern(request: web.Request, status: int) -> None:
    """Count a request that a modern route has answered, or begins to answer."""
    resource = request.match_info.route.resource
    if status >= 400 or CALLER in request or resource is None:
        return
    route = MODERN_ROUTES.get((request.method, resource.canonical))
    if route is not None:
        request.app[SERVICES].usage.count(caller_of(request, route[0], MODERN), route[1])
