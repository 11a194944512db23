"""Counts every answered request."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler

from new_stack.api.services import SERVICES


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count one request by its route's pattern, status and duration."""
    began = time.perf_counter()
    response = await handler(request)
    route = request.match_info.route.resource
    pattern = route.canonical if route is not None else "(none)"
    took = time.perf_counter() - began if isinstance(response, web.Response) else None
    request.app[SERVICES].metrics.request(request.method, pattern, response.status, took)
    return response
