"""Around every request: the token, CORS, a problem document for whatever goes wrong, and its count."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from new_stack.api.guard.pages import cors_headers, preflight, require_own_page
from new_stack.api.http.access import require_access
from new_stack.api.http.http_io import encode
from new_stack.api.http.problems import CONTENT_TYPE, ProblemError, from_queue, problem
from new_stack.api.retirement.requests import told_headers
from new_stack.api.services import SERVICES
from new_stack.log import log
from new_stack.queue.errors import QueueError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HINTS: Final = {
    404: "The API is described at /openapi.json.",
    405: "The header Allow says what is answered here.",
    413: "The limit is a setting of the server (HUBGATE_BODY_LIMIT).",
}


KEEPALIVE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request; longer than the load balancers in front of it do."""


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve one request, whatever happens."""
    services = request.app[SERVICES]
    began = time.perf_counter()
    if request.protocol is not None:
        request.protocol._keepalive_timeout = KEEPALIVE_SECONDS  # noqa: SLF001 - aiohttp has one timeout for both
    response: web.StreamResponse
    try:
        require_own_page(request, services.settings)
        if request.method == "OPTIONS":
            response = preflight(request, services.settings.cors_origins)
        else:
            require_access(request, services.settings, services.clock())
            response = await handler(request)
    except ProblemError as error:
        response = problem_response(error)
    except QueueError as error:
        response = problem_response(from_queue(error, request.match_info.get("job_id", "")))
    except web.HTTPException as error:
        response = await _without_slash(request) or _from_aiohttp(error)
    except (ConnectionError, TimeoutError):
        raise
    except Exception as error:  # noqa: BLE001 - the last line: it is logged whole and answered with a problem
        log.error("request_failed", method=request.method, path=request.path, error=repr(error))
        response = problem_response(problem(500, "The server failed to answer this request; its log says why."))
    route = request.match_info.route.resource
    pattern = route.canonical if route is not None else "(none)"
    took = time.perf_counter() - began if isinstance(response, web.Response) else None
    services.metrics.request(request.method, pattern, response.status, took)
    return response


async def _without_slash(request: web.Request) -> web.Response | None:
    """One slash too many: the hub sends such a request to the page without it, so clients may rely on that."""
    bare = request.path.rstrip("/")
    if not bare or bare == request.path:
        return None
    target = request.rel_url.with_path(bare).with_query(request.query)
    found = await request.app.router.resolve(request.clone(rel_url=target))
    if found.http_exception is not None:
        return None
    return web.Response(status=307, headers={"Location": str(target)})


def problem_response(error: ProblemError) -> web.Response:
    """A problem as a response."""
    return web.Response(
        body=encode(error.problem),
        status=error.problem.status,
        headers=error.headers,
        content_type=CONTENT_TYPE,
    )


def _from_aiohttp(error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals, with the hub's `detail`: the status's phrase."""
    detail = error.reason if error.status in {404, 405} else (error.text or error.reason)
    headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Retry-After"}}
    return problem_response(problem(error.status, detail, headers=headers, hint=HINTS.get(error.status, "")))


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Headers of every response, streams too; a signal, because a stream's headers leave before it returns."""
    response.headers["Server"] = "hubgate"
    response.headers.setdefault("Cache-Control", "no-store")
    if isinstance(request, web.Request):
        services = request.app[SERVICES]
        response.headers["Hubgate-Time"] = str(services.redis_time_ms())
        response.headers.update(told_headers(request, response.status))
        response.headers.update(cors_headers(request, services.settings.cors_origins))
