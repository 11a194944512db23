"""Jobs: submit one or many, list, ask, cancel, retry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from new_stack.api import views
from new_stack.api.problems import ProblemError, from_queue, invalid, not_found
from new_stack.api.routes.answers import answer, body_of, decoded, whole_number
from new_stack.api.routes.legacy_jobs import submit_legacy
from new_stack.api.services import SERVICES, Services
from new_stack.queue.errors import JobNotFound, QueueError
from new_stack.queue.jobs import Job, JobState, NewJob, Submission

_request: Final = msgspec.json.Decoder(views.JobRequest)
_requests: Final = msgspec.json.Decoder(list[msgspec.Raw])
_cancel: Final = msgspec.json.Decoder(views.CancelRequest)

PAGE_LIMIT: Final = 500


async def submit(request: web.Request) -> web.Response:
    """POST /api/jobs: a modern job, a list of them, or a legacy body, told apart by what they hold."""
    services = request.app[SERVICES]
    body = await body_of(request)
    if body[:64].lstrip()[:1] == b"[":
        return await _submit_many(services, body)
    try:
        wanted = _request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if b'"service_required"' not in body:
            return await submit_legacy(services, body)
        wanted = decoded(body, _request)
    if not isinstance(wanted.service_required, str):
        return await submit_legacy(services, body)
    return await _submit_one(services, read_job(wanted))


def read_job(wanted: views.JobRequest) -> NewJob:
    """One modern job. Raises a problem that names the field."""
    if not isinstance(wanted.service_required, str):
        raise invalid("service_required", "is missing")
    if isinstance(wanted.job_type, str) and wanted.job_type != wanted.service_required:
        raise invalid("job_type", "says something else than service_required, which means the same")
    return wanted.new_job()


async def _submit_one(services: Services, job: NewJob) -> web.Response:
    submission = await services.queue.submit(job)
    services.metrics.submitted["http"] += 1
    stored = await services.queue.job(submission.job_id)
    if stored is None:
        raise not_found(submission.job_id)
    position = submission.position if stored.state is JobState.PENDING else 0
    headers = {"Location": f"/api/jobs/{quote(submission.job_id, safe='')}"}
    return answer(views.job_view(stored, position or None), 201 if submission.created else 200, headers)


async def _submit_many(services: Services, body: bytes) -> web.Response:
    try:
        rows = _requests.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rows = decoded(body, _requests)
    if not rows:
        return await submit_legacy(services, body)
    if len(rows) > services.settings.batch_limit:
        raise invalid("body", f"holds {len(rows)} jobs; one request may carry {services.settings.batch_limit}")
    items: list[views.BatchItem | None] = []
    jobs: list[NewJob] = []
    for row in rows:
        try:
            jobs.append(read_job(decoded(bytes(row), _request)))
            items.append(None)
        except ProblemError as error:
            items.append(_refused(error))
    answers = iter(await services.queue.submit_many(jobs))
    done = [_item(next(answers)) if item is None else item for item in items]
    services.metrics.submitted["http"] += sum(1 for item in done if item.job is not None)
    return answer(done)


def _item(result: Submission | QueueError) -> views.BatchItem:
    if isinstance(result, QueueError):
        return _refused(from_queue(result))
    submitted = views.Submitted(
        job_id=result.job_id, status=result.state, created=result.created, position=result.position or None
    )
    return views.BatchItem(status=201 if result.created else 200, job=submitted)


def _refused(error: ProblemError) -> views.BatchItem:
    return views.BatchItem(status=error.problem.status, problem=error.problem)


async def status(request: web.Request) -> web.Response:
    """GET /api/jobs/{job_id}."""
    services = request.app[SERVICES]
    job_id = request.match_info["job_id"]
    return answer(await job_status(services, job_id))


async def job_status(services: Services, job_id: str) -> views.JobView:
    """A job's status object. Raises a 404 problem."""
    job, position = await asyncio.gather(services.queue.job(job_id), services.queue.position(job_id))
    if job is None:
        raise not_found(job_id)
    return views.job_view(job, position if job.state is JobState.PENDING else None)


async def listing(request: web.Request) -> web.Response:
    """GET /api/jobs: newest first, filtered, a page at a time."""
    services = request.app[SERVICES]
    query = request.query
    state = query.get("status")
    if state is not None and state not in set(JobState):
        raise invalid("status", f"must be one of {', '.join(JobState)}")
    try:
        page = await services.queue.jobs(
            state=None if state is None else JobState(state),
            service=query.get("service") or query.get("job_type") or None,
            worker_id=query.get("worker_id") or None,
            cursor=query.get("cursor") or None,
            limit=whole_number(request, "limit", 50, 1, PAGE_LIMIT),
        )
    except ValueError as error:
        raise invalid("cursor", str(error)) from None
    return answer(views.JobsView(jobs=[views.job_view(job, None) for job in page.jobs], cursor=page.cursor))


async def cancel(request: web.Request) -> web.Response:
    """POST /api/jobs/{job_id}/cancel: end it, pending or running."""
    body = await body_of(request)
    wanted = decoded(body, _cancel) if body.strip() else views.CancelRequest()
    job_id = request.match_info["job_id"]
    return await _moved(request, job_id, request.app[SERVICES].queue.cancel(job_id, wanted.reason))


async def retry(request: web.Request) -> web.Response:
    """POST /api/jobs/{job_id}/retry: put a failed or cancelled job back in the line."""
    job_id = request.match_info["job_id"]
    return await _moved(request, job_id, request.app[SERVICES].queue.retry(job_id))


async def _moved(request: web.Request, job_id: str, move: Awaitable[Job]) -> web.Response:
    try:
        job = await move
    except JobNotFound:
        raise not_found(job_id) from None
    pending = job.state is JobState.PENDING
    position = await request.app[SERVICES].queue.position(job_id) if pending else None
    return answer(views.job_view(job, position))
