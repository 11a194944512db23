"""The routes of server-sent events: one job's, or everybody's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from new_stack.api.http.access import address_of
from new_stack.api.http.http_io import whole_number
from new_stack.api.http.problems import invalid
from new_stack.api.services import SERVICES, Services
from new_stack.api.streaming.event_feed import EventFeed, Filter
from new_stack.api.streaming.follow import following
from new_stack.api.streaming.sse import Stream
from new_stack.queue.events import EventKind

LATEST_MS: Final = 10**14
"""A time that no event has reached: bounds `since`."""


async def job_progress(request: web.Request) -> web.StreamResponse:
    """GET /api/jobs/{job_id}/progress."""
    services = request.app[SERVICES]
    stream = Stream(services)
    with following(services, request.match_info["job_id"], _cursor(request)) as follower:
        if not await follower.prepare():
            return web.Response(status=204)
        with _counted(request, services):
            await stream.open(request)
            return await stream.carry(follower.run(stream))


async def all_events(request: web.Request) -> web.StreamResponse:
    """GET /api/events."""
    services = request.app[SERVICES]
    wanted = _filter(request)
    cursor = _cursor(request)
    since = whole_number(request, "since", 0, 0, LATEST_MS) if "since" in request.query else None
    await services.queue.ping()
    subscriber = services.fanout.subscriber()
    stream = Stream(services)
    try:
        with _counted(request, services):
            await stream.open(request)
            return await stream.carry(EventFeed(services, stream, subscriber, wanted).run(cursor, since))
    finally:
        services.fanout.remove(subscriber)


def _cursor(request: web.Request) -> str | None:
    """The id that the reader had last: the header, or the query for those who cannot set one."""
    return request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or None


@contextmanager
def _counted(request: web.Request, services: Services) -> Iterator[None]:
    """Count one more stream, in all and by address. Raises a 429 problem."""
    address = address_of(request, trust_forwarded=services.settings.trust_forwarded)
    with services.limiter.connection(address), services.connections.counted("sse"):
        yield


def _filter(request: web.Request) -> Filter:
    kinds = _words(request, "kinds")
    unknown = sorted(kinds - set(EventKind))
    if unknown:
        raise invalid("kinds", f"there is no kind {unknown[0]!r}: there are {', '.join(EventKind)}")
    return Filter(services=_words(request, "job_types") | _words(request, "services"), kinds=kinds)


def _words(request: web.Request, name: str) -> frozenset[str]:
    texts = request.query.getall(name, [])
    return frozenset(word.strip() for text in texts for word in text.split(",") if word.strip())
