"""What the hub's REST answers: jobs are submitted and read."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from new_stack.api.guard.bodies import received
from new_stack.api.http.http_io import answer
from new_stack.api.http.problems import not_found
from new_stack.api.legacy.rest import submit_legacy
from new_stack.api.legacy.v2.universal import universal_job
from new_stack.api.modern.jobs import submit_modern
from new_stack.api.modern.schemas import job_view
from new_stack.api.services import SERVICES


async def submit(request: web.Request) -> web.Response:
    """POST /api/jobs: the hub's body, or a modern job or a list of them, told apart by what they hold."""
    services = request.app[SERVICES]
    async with received(request) as body:
        answered = await submit_modern(services, body) or await submit_legacy(request, body)
    del body  # who waits for the end of a job may wait long
    return answered if isinstance(answered, web.Response) else await answered


async def status(request: web.Request) -> web.Response:
    """GET /api/jobs/{job_id}."""
    job_id = request.match_info["job_id"]
    job = await request.app[SERVICES].queue.job(job_id)
    if job is None:
        raise not_found(job_id)
    return answer(job_view(job) | {"job": universal_job(job)})


ROUTES: Final = (
    ("POST", "/api/jobs", submit),
    ("GET", "/api/jobs/{job_id:[^/]+}", status),
)
