"""Jobs: submit one or many, list, explain, cancel, retry."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from new_stack.api.guard.bodies import received
from new_stack.api.http.http_io import answer, decoded
from new_stack.api.http.problems import invalid, not_found
from new_stack.api.modern import schemas
from new_stack.api.modern.batch import submit_many
from new_stack.api.modern.wording import whole_number
from new_stack.api.services import SERVICES, Services
from new_stack.queue.jobs import JobState, NewJob

_request: Final = msgspec.json.Decoder(schemas.JobRequest)
_cancel: Final = msgspec.json.Decoder(schemas.CancelRequest)

PAGE_LIMIT: Final = 500


async def submit_modern(services: Services, body: bytes) -> web.Response | None:
    """A modern job, or a list of them; None for a body of the hub's."""
    if body[:64].lstrip()[:1] == b"[":
        return await submit_many(services, body)
    try:
        wanted = _request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if b'"service_required"' not in body:
            return None
        wanted = decoded(body, _request)
    if not isinstance(wanted.service_required, str):
        return None
    return await _submit_one(services, schemas.read_job(wanted, body))


async def _submit_one(services: Services, job: NewJob) -> web.Response:
    submission = await services.queue.submit(job)
    services.metrics.submitted["http"] += 1
    if submission.job is None:
        raise not_found(submission.job_id)
    headers = {"Location": f"/api/jobs/{quote(submission.job_id, safe='')}"}
    return answer(schemas.job_view(submission.job), 201 if submission.created else 200, headers)


async def explain(request: web.Request) -> web.Response:
    """GET /api/jobs/{job_id}/explain: who could take the job, and who cannot and why not."""
    job_id = request.match_info["job_id"]
    explanation = await request.app[SERVICES].queue.explain(job_id)
    if explanation is None:
        raise not_found(job_id)
    return answer(explanation)


async def listing(request: web.Request) -> web.Response:
    """GET /api/jobs: newest first, filtered, a page at a time; the job whose id is asked for before all others.

    Rows only: payload, result, log and traceback are in GET /api/jobs/{job_id}.
    """
    queue, text = request.app[SERVICES].queue, _asked(request, "q")
    state, cursor = _asked(request, "state", "status"), _asked(request, "after", "cursor")
    if state is not None and state not in set(JobState):
        raise invalid("state" if "state" in request.query else "status", f"must be one of {', '.join(JobState)}")
    filters = {
        "service": _asked(request, "service", "job_type"),
        "worker_id": _asked(request, "worker", "worker_id"),
        "client_id": _asked(request, "client", "client_id"),
    }
    limit = whole_number(request, "limit", 50, 1, PAGE_LIMIT)
    try:
        page = await queue.jobs(
            state=None if state is None else JobState(state),
            text=text,
            cursor=cursor,
            limit=limit,
            bodies=False,
            **filters,
        )
    except ValueError as error:
        raise invalid("after" if "after" in request.query else "cursor", str(error)) from None
    jobs = [job for job in page.jobs if job.id != text]
    meant = await queue.job(text, bodies=False) if text and cursor is None else None
    if meant is not None:
        jobs.insert(0, meant)
    return answer({"jobs": [schemas.job_row(job) for job in jobs], "cursor": page.cursor, "looked_at": page.looked_at})


def _asked(request: web.Request, *names: str) -> str | None:
    """What is asked for under the first of these names that says something."""
    return next((found for name in names if (found := request.query.get(name))), None)


async def cancel(request: web.Request) -> web.Response:
    """POST /api/jobs/{job_id}/cancel: end it, pending or running."""
    async with received(request) as body:
        wanted = decoded(body, _cancel) if body.strip() else schemas.CancelRequest()
    job = await request.app[SERVICES].queue.cancel(request.match_info["job_id"], wanted.reason)
    return answer(schemas.job_view(job))


async def retry(request: web.Request) -> web.Response:
    """POST /api/jobs/{job_id}/retry: make a failed or cancelled job pending again."""
    return answer(schemas.job_view(await request.app[SERVICES].queue.retry(request.match_info["job_id"])))


ROUTES: Final = (
    ("GET", "/api/jobs", listing),
    ("GET", "/api/jobs/{job_id:[^/]+}/explain", explain),
    ("POST", "/api/jobs/{job_id:[^/]+}/cancel", cancel),
    ("POST", "/api/jobs/{job_id:[^/]+}/retry", retry),
)
