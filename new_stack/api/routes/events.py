"""Server-sent events: one job's, or everybody's."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from aiohttp import web

from new_stack.api.access import address_of
from new_stack.api.problems import invalid, not_found
from new_stack.api.routes.answers import whole_number
from new_stack.api.services import SERVICES, Services
from new_stack.api.sse.all_stream import AllStream, Filter
from new_stack.api.sse.cursor import resume
from new_stack.api.sse.job_stream import ENDED, JobStream, ending_of
from new_stack.api.sse.stream import Stream
from new_stack.queue.events import EventKind

LATEST_MS: Final = 10**14
"""A time that no event has reached: bounds `since`."""


def cursor_of(request: web.Request) -> str | None:
    """The id that the reader had last: the header, or the query for those who cannot set one."""
    return request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or None


async def job_progress(request: web.Request) -> web.StreamResponse:
    """GET /api/jobs/{job_id}/progress."""
    services = request.app[SERVICES]
    job_id = request.match_info["job_id"]
    subscriber = services.fanout.subscriber()
    services.fanout.follow_job(subscriber, job_id)
    try:
        history = await services.queue.history(job_id)
        if not history and await services.queue.job(job_id) is None:
            raise not_found(job_id)
        cursor = cursor_of(request)
        plan = resume(history, cursor)
        if plan.over or (plan.gap is not None and await _had_the_ending(services, job_id, cursor)):
            return web.Response(status=204)
        stream = Stream(services)
        with _place(request, services):
            await stream.open(request)
            return await stream.carry(JobStream(services, job_id, stream, subscriber).run(plan))
    finally:
        services.fanout.remove(subscriber, jobs=(job_id,))


async def _had_the_ending(services: Services, job_id: str, cursor: str | None) -> bool:
    """Whether the cursor is that of an ending that was told out of the job's record, its stream being gone."""
    job = await services.queue.job(job_id) if cursor else None
    return job is not None and job.state in ENDED and ending_of(job).id == cursor


async def all_events(request: web.Request) -> web.StreamResponse:
    """GET /api/events."""
    services = request.app[SERVICES]
    wanted = _filter(request)
    cursor = cursor_of(request)
    since = whole_number(request, "since", 0, 0, LATEST_MS) if "since" in request.query else None
    await services.queue.ping()
    subscriber = services.fanout.subscriber()
    stream = Stream(services)
    try:
        with _place(request, services):
            await stream.open(request)
            return await stream.carry(AllStream(services, stream, subscriber, wanted).run(cursor, since))
    finally:
        services.fanout.remove(subscriber)


def _place(request: web.Request, services: Services) -> ExitStack:
    """A place for one more stream, counted by address. Raises a 429 problem."""
    with ExitStack() as places:
        address = address_of(request, trust_forwarded=services.settings.trust_forwarded)
        places.enter_context(services.addresses.connection(address))
        places.enter_context(services.connections.stream())
        return places.pop_all()


def _filter(request: web.Request) -> Filter:
    kinds = _words(request, "kinds")
    unknown = sorted(kinds - set(EventKind))
    if unknown:
        raise invalid("kinds", f"there is no kind {unknown[0]!r}: there are {', '.join(EventKind)}")
    return Filter(services=_words(request, "job_types") | _words(request, "services"), kinds=kinds)


def _words(request: web.Request, name: str) -> frozenset[str]:
    texts = request.query.getall(name, [])
    return frozenset(word.strip() for text in texts for word in text.split(",") if word.strip())
