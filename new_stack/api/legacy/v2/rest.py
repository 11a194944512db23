"""REST of the later time: `/jobs`, `/workers`, `/queue/*` and `/system/status`, served where a setting asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET

from new_stack.api.guard.bodies import received
from new_stack.api.http.http_io import answer, decoded
from new_stack.api.http.problems import invalid, not_found
from new_stack.api.legacy.v2.monitor import system_stats, worker_document
from new_stack.api.legacy.v2.universal import universal_job
from new_stack.api.modern.jobs import PAGE_LIMIT
from new_stack.api.modern.schemas import JobRequest, read_job
from new_stack.api.modern.wording import whole_number
from new_stack.api.retirement.callers import CALLER, LATER_DIALECT
from new_stack.api.retirement.requests import admit_rest
from new_stack.api.services import SERVICES
from new_stack.queue.jobs import Job, JobState, Page

Handler = Callable[[web.Request], Awaitable[web.Response]]
Route = tuple[str, str, Handler]

STATES: Final = {state.value: state for state in JobState} | {"active": JobState.CLAIMED, "assigned": JobState.CLAIMED}

_request: Final = msgspec.json.Decoder(JobRequest)


async def submit(request: web.Request) -> web.Response:
    """POST /jobs: one job, under either name of its service."""
    services = request.app[SERVICES]
    async with received(request) as body:
        wanted = decoded(body, _request)
        if wanted.service_required is UNSET:
            wanted.service_required = wanted.job_type
        new, caller = read_job(wanted, body), request[CALLER]
        if new.client_id is None and caller.named:
            new = msgspec.structs.replace(new, client_id=caller.client)
        submission = await services.queue.submit(new)
    services.metrics.submitted["later_http"] += 1
    job = submission.job or await services.queue.job(submission.job_id)
    if job is None:
        raise not_found(submission.job_id)
    about = {"success": True, "message": f"Job submitted successfully with ID: {job.id}"}
    return answer(about | _shown(job), 201 if submission.created else 200)


async def listing(request: web.Request) -> web.Response:
    """GET /jobs: newest first, filtered by `status` and by service."""
    return answer(_listed(await _page(request, request.query.get("status"))))


async def status(request: web.Request) -> web.Response:
    """GET /jobs/{job_id}."""
    job_id = request.match_info["job_id"]
    job = await request.app[SERVICES].queue.job(job_id)
    if job is None:
        raise not_found(job_id)
    return answer(_shown(job))


async def workers(request: web.Request) -> web.Response:
    """GET /workers."""
    found = [worker_document(worker) for worker in (await request.app[SERVICES].snapshots.take()).workers]
    return answer({"workers": found, "total": len(found)})


async def queue(request: web.Request) -> web.Response:
    """GET /queue/{what}: the queue's figures; of a state's name its jobs as well."""
    what = request.match_info["what"]
    counts = (await request.app[SERVICES].snapshots.take()).counts
    figures = msgspec.structs.asdict(counts) | {"active": counts.claimed, "by_service": counts.by_service}
    return answer(figures | (_listed(await _page(request, what)) if what in STATES else {}))


async def system(request: web.Request) -> web.Response:
    """GET /system/status."""
    services = request.app[SERVICES]
    snapshot = await services.snapshots.take()
    figures = system_stats(snapshot.counts, snapshot.workers)
    about: dict[str, Any] = {"status": "ok", "server_time": int(services.clock() * 1000), "system_stats": figures}
    return answer(about | {"connections": services.connections.counts()})


async def _page(request: web.Request, state: str | None) -> Page:
    if state is not None and state not in STATES:
        raise invalid("status", f"must be one of {', '.join(STATES)}")
    return await request.app[SERVICES].queue.jobs(
        state=None if state is None else STATES[state],
        service=request.query.get("service") or request.query.get("job_type") or None,
        limit=whole_number(request, "limit", 50, 1, PAGE_LIMIT),
    )


def _listed(page: Page) -> dict[str, Any]:
    return {"jobs": [universal_job(job) for job in page.jobs], "total": len(page.jobs)}


def _shown(job: Job) -> dict[str, Any]:
    document = universal_job(job)
    return document | {"job_id": job.id, "job": document}


def _counted(method: str, path: str, handler: Handler) -> Route:
    async def serve(request: web.Request) -> web.Response:
        admit_rest(request, LATER_DIALECT, f"{method} {path.replace(':[^/]+', '')}")
        return await handler(request)

    return method, path, serve


ROUTES: Final = (
    _counted("POST", "/jobs", submit),
    _counted("GET", "/jobs", listing),
    _counted("GET", "/jobs/{job_id:[^/]+}", status),
    _counted("GET", "/workers", workers),
    _counted("GET", "/queue/{what:[^/]+}", queue),
    _counted("GET", "/system/status", system),
)
