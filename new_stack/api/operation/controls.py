"""Pausing a service, draining a worker, and undoing it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from new_stack.api.http.http_io import answer
from new_stack.api.http.problems import ProblemError, invalid
from new_stack.api.services import SERVICES
from new_stack.queue.producer import NAME_LIMIT


async def pause_service(request: web.Request) -> web.Response:
    """POST /api/services/{service}/pause: nobody claims its jobs; those that run go on."""
    name = _service(request)
    return answer({"service": name, "paused_since": await request.app[SERVICES].queue.pause_service(name)})


async def resume_service(request: web.Request) -> web.Response:
    """POST /api/services/{service}/resume."""
    name = _service(request)
    return answer({"service": name, "paused_since": await request.app[SERVICES].queue.resume_service(name)})


async def drain_worker(request: web.Request) -> web.Response:
    """POST /api/workers/{worker_id}/drain: it claims nothing more; what it runs goes on."""
    return await _drained(request, wanted=True)


async def resume_worker(request: web.Request) -> web.Response:
    """POST /api/workers/{worker_id}/resume."""
    return await _drained(request, wanted=False)


async def _drained(request: web.Request, *, wanted: bool) -> web.Response:
    queue, name = request.app[SERVICES].queue, request.match_info["worker_id"]
    try:
        since = await (queue.drain_worker(name) if wanted else queue.resume_worker(name))
    except KeyError:
        raise ProblemError(
            404, f"Worker {name} not found", hint="GET /api/workers lists those that are known."
        ) from None
    return answer({"worker_id": name, "draining_since": since})


def _service(request: web.Request) -> str:
    name = request.match_info["service"]
    if len(name) > NAME_LIMIT or not name.isprintable() or not name.strip():
        raise invalid("service", f"must be printable and not longer than {NAME_LIMIT} characters")
    return name


ROUTES: Final = (
    ("POST", "/api/workers/{worker_id:[^/]+}/drain", drain_worker),
    ("POST", "/api/workers/{worker_id:[^/]+}/resume", resume_worker),
    ("POST", "/api/services/{service:[^/]+}/pause", pause_service),
    ("POST", "/api/services/{service:[^/]+}/resume", resume_service),
)
