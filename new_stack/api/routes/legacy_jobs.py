"""POST /api/jobs with the hub's body (`job_type`, `wait`, `timeout`), answered as the hub answers it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Raw

from new_stack.api import views
from new_stack.api.fanout import Published
from new_stack.api.legacy.rest import LegacyJob, LegacyRefusal, not_an_object, read_legacy_job
from new_stack.api.problems import FieldError, not_found, problem
from new_stack.api.routes.answers import answer, decoded
from new_stack.api.services import Services
from new_stack.queue.events import ENDINGS
from new_stack.queue.jobs import JobState, NewJob

_any: Final = msgspec.json.Decoder()
_fields: Final = msgspec.json.Decoder(dict[str, Raw])
LOOK_SECONDS: Final = 5.0
"""How often one who waits looks for himself, should the word of the ending be lost."""


async def submit_legacy(services: Services, body: bytes) -> web.Response:
    """Submit a legacy body; with `wait`, answer when the job has ended or the time is up."""
    try:
        wanted = _read(body, services.new_id())
    except LegacyRefusal as refusal:
        errors = [FieldError(".".join(error["loc"]), error["msg"]) for error in refusal.errors]
        raise problem(422, refusal.errors, errors=errors) from None
    if wanted.wait:
        return await _submit_and_wait(services, wanted)
    job_id = await _submit(services, wanted.job)
    message = f"Job submitted successfully with ID: {job_id}"
    return answer({"success": True, "job_id": job_id, "message": message})


def _read(body: bytes, new_id: str) -> LegacyJob:
    found: Any = decoded(body, _any)
    if not isinstance(found, dict):
        raise not_an_object(found)
    return read_legacy_job(_fields.decode(body), new_id)


async def _submit(services: Services, job: NewJob) -> str:
    submission = await services.queue.submit(job)
    services.metrics.submitted["legacy_http"] += 1
    return submission.job_id


async def _submit_and_wait(services: Services, wanted: LegacyJob) -> web.Response:
    job_id = wanted.job.id or ""
    subscriber = services.fanout.subscriber()
    services.fanout.follow_job(subscriber, job_id)
    try:
        await _submit(services, wanted.job)
        try:
            async with asyncio.timeout(wanted.timeout):
                while not await _ended(services, job_id):
                    for item in await subscriber.take(LOOK_SECONDS):
                        if isinstance(item, Published) and item.event.kind in ENDINGS:
                            break
                    if subscriber.closed is not None:
                        return await _so_far(services, job_id, subscriber.closed)
        except TimeoutError:
            late = f"Timeout: Job did not complete within {wanted.timeout} seconds"
            return await _so_far(services, job_id, late)
        return await _so_far(services, job_id, None)
    finally:
        services.fanout.remove(subscriber, jobs=(job_id,))


async def _ended(services: Services, job_id: str) -> bool:
    job = await services.queue.job(job_id)
    return job is None or job.state.ended


async def _so_far(services: Services, job_id: str, error: str | None) -> web.Response:
    job, position = await asyncio.gather(services.queue.job(job_id), services.queue.position(job_id))
    if job is None:
        raise not_found(job_id)
    view = views.job_view(job, position if job.state is JobState.PENDING else None)
    return answer(view if error is None else msgspec.structs.replace(view, error=error))
