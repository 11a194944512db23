"""Around every request: it is guarded and counted, whatever goes wrong is told, and every response has its headers."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from new_stack.api.guard.admission import admit
from new_stack.api.guard.pages import cors_headers
from new_stack.api.http.http_io import encode
from new_stack.api.http.problems import CONTENT_TYPE, ProblemError, from_queue
from new_stack.api.retirement.requests import told_headers
from new_stack.api.services import SERVICES
from new_stack.log import log
from new_stack.queue.errors import QueueError

HINTS: Final = {
    404: "The API is described at /openapi.json.",
    405: "The header Allow says what is answered here.",
    413: "The limit is a setting of the server (HUBGATE_BODY_LIMIT).",
}
"""What to look at, by status, where a request does not even reach a route."""

without_slash: Final = web.normalize_path_middleware(
    append_slash=False, remove_slash=True, merge_slashes=False, redirect_class=web.HTTPTemporaryRedirect
)
"""One slash too many: the hub sends such a request to the page without it, so clients may rely on that."""


@web.middleware
async def served(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve one request, whatever happens."""
    began = time.perf_counter()
    try:
        answered = admit(request)
        response = await handler(request) if answered is None else answered
    except ProblemError as error:
        response = _response(error)
    except QueueError as error:
        response = _response(from_queue(error, request.match_info.get("job_id", "")))
    except web.HTTPException as error:
        response = _from_aiohttp(error)
    except (ConnectionError, TimeoutError):
        raise
    except Exception as error:  # noqa: BLE001 - the last line: it is logged whole and answered with a problem
        log.error("request_failed", method=request.method, path=request.path, error=repr(error))
        response = _response(ProblemError(500, "The server failed to answer this request; its log says why."))
    request.app[SERVICES].metrics.answered(request, response, time.perf_counter() - began)
    return response


def _response(error: ProblemError) -> web.Response:
    document = error.document
    return web.Response(body=encode(document), status=document.status, headers=error.headers, content_type=CONTENT_TYPE)


def _from_aiohttp(error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals, with the hub's `detail`: the status's phrase."""
    if isinstance(error, web.HTTPMove):
        return web.Response(status=error.status, headers={"Location": str(error.location)})
    detail = error.reason if error.status in {404, 405} else (error.text or error.reason)
    headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Retry-After"}}
    return _response(ProblemError(error.status, detail, headers=headers, hint=HINTS.get(error.status, "")))


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Headers of every response, streams too; a signal, because a stream's headers leave before it returns."""
    response.headers["Server"] = "hubgate"
    response.headers.setdefault("Cache-Control", "no-store")
    if isinstance(request, web.Request):
        services = request.app[SERVICES]
        response.headers["Hubgate-Time"] = str(services.redis_clock.now_ms())
        response.headers.update(told_headers(request, response.status))
        response.headers.update(cors_headers(request, services.settings.cors_origins))
