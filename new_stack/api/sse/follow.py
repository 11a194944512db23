"""Follows one job, for SSE and WebSockets alike: its history first, then what happens, without a hole or a double.

The subscription begins before the history is read, so that no event falls between the two. What then comes twice is
told apart by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from new_stack.api.services import SERVICES, Services
from new_stack.api.sse import stream as sse
from new_stack.api.sse.cursor import PageSize, Resume, before, resume, text_of
from new_stack.api.streaming.fanout import Published, Subscriber, of_job
from new_stack.queue.errors import JobNotFound, QueueUnavailable
from new_stack.queue.events import ENDINGS, Event, EventKind, StreamId, parse_id
from new_stack.queue.jobs import Job, JobState

ENDED: Final[dict[JobState, EventKind]] = {
    JobState.COMPLETED: EventKind.COMPLETED,
    JobState.FAILED: EventKind.FAILED,
    JobState.CANCELLED: EventKind.CANCELLED,
}


async def job_progress(request: web.Request) -> web.StreamResponse:
    """GET /api/jobs/{job_id}/progress."""
    services = request.app[SERVICES]
    with following(services, request.match_info["job_id"], sse.cursor_of(request)) as follower:
        if not await follower.prepare():
            return web.Response(status=204)
        return await sse.Stream(services).serve(request, follower.run)


class Follower:
    """One reader of one job's events."""

    def __init__(self, services: Services, job_id: str, cursor: str | None, subscriber: Subscriber) -> None:
        self._services = services
        self._job_id = job_id
        self._cursor = cursor
        self._subscriber = subscriber
        self._last: StreamId = (0, 0)
        self._plan = Resume()

    @property
    def closed(self) -> str | None:
        """Why the server breaks off."""
        return self._subscriber.closed

    async def prepare(self) -> bool:
        """Find where the stream goes on; false where the reader has had the ending already. Raises JobNotFound."""
        oldest = await self._history("0", 1)
        if not oldest and await self._services.queue.job(self._job_id, bodies=False) is None:
            raise JobNotFound(f"Job {self._job_id} not found")
        at = parse_id(self._cursor) if self._cursor else None
        found = await self._history(before(at), 1) if at and at != (0, 0) else []
        self._plan = resume(next(iter(oldest), None), next(iter(found), None), self._cursor)
        self._last = self._plan.after
        if self._plan.gap is None:
            ended = bool(found) and self._last != (0, 0) and found[0].kind in ENDINGS
            return not ended or bool(await self._history(text_of(self._last), 1))
        return not await self._had_the_ending()

    async def _had_the_ending(self) -> bool:
        """Whether the cursor is that of an ending that was sent out of the job's record, its stream being gone."""
        job = await self._services.queue.job(self._job_id, bodies=False) if self._cursor else None
        return job is not None and job.state in ENDED and ending_of(job).id == self._cursor

    async def run(self, stream: sse.Writer) -> bool:
        """Send everything from the history on; true where the job ended, false where the server has to break off."""
        if self._plan.gap is not None:
            oldest = await self._history("0", 1)
            await stream.write_all([sse.gap_frame(self._plan.gap, oldest[0].id if oldest else "")])
        ended = await self._send_history(stream)
        if not ended and not self._plan.complete:
            ended = await self._send_unseen_ending(stream)
        seconds = self._services.settings.keepalive_ms / 1000
        while not ended and self._subscriber.closed is None:
            items = await self._subscriber.take(seconds)
            live = [item for item in items if isinstance(item, Published)]
            if items and len(live) == len(items):
                ended = await self._send_live(stream, live)
            elif self._subscriber.closed is None:
                ended = await self._catch_up(stream)
        if not ended:
            await stream.write_all([sse.disconnect_frame(self._subscriber.closed or "")])
        return ended

    async def _history(self, after: str, count: int) -> list[Event]:
        return await self._services.queue.history(self._job_id, after, count=count)

    async def _send_history(self, stream: sse.Writer) -> bool:
        """Send what is kept after the last event sent, page by page; true where the last of it is an ending."""
        ended, more, pages = False, True, PageSize()
        while more and self._subscriber.closed is None:
            count = pages.count
            page = [
                self._services.large_results.published(event)
                for event in await self._history(text_of(self._last), count)
            ]
            pages.adapt(await sse.send_events(self._services, stream, page, sse.job_event_frame))
            if page:
                self._last = parse_id(page[-1].event.id) or self._last
                ended = page[-1].event.kind in ENDINGS
            more = len(page) == count
        return ended

    async def _send_live(self, stream: sse.Writer, items: list[Published]) -> bool:
        """Send what is newer than the last event sent, up to an ending; true where there is one."""
        newer: list[Published] = []
        ended = False
        for item in items:
            at = parse_id(item.event.id) or (0, 0)
            if at > self._last and not ended:
                self._last = at
                newer.append(item)
                ended = item.event.kind in ENDINGS
        await sse.send_events(self._services, stream, newer, sse.job_event_frame)
        return ended

    async def _catch_up(self, stream: sse.Writer) -> bool:
        """Nothing came for a while, or this process missed something: read, so that no lost event is waited for."""
        began = self._last
        try:
            ended = await self._send_history(stream)
            if not ended and self._last == began:
                ended = await self._send_unseen_ending(stream)
        except QueueUnavailable:
            ended = False
        if not ended and self._last == began:
            await stream.write_all([sse.KEEPALIVE])
        return ended

    async def _send_unseen_ending(self, stream: sse.Writer) -> bool:
        """Send the ending of a job that has ended, out of its record, where its stream does not have it any more.

        Raises JobNotFound where the job is gone, so that nobody waits for its end.
        """
        job = await self._services.job_once_ended(self._job_id)
        if job is None:
            raise JobNotFound(f"job {self._job_id} is gone: it was deleted, or it ended long ago")
        if job.state not in ENDED:
            return False
        if not await self._send_history(stream):
            await stream.write_all([sse.job_event_frame(ending_of(job))])
        return True


@contextmanager
def following(services: Services, job_id: str, cursor: str | None) -> Iterator[Follower]:
    """A follower that hears of the job from now on."""
    subscriber = services.fanout.subscriber()
    services.fanout.follow(subscriber, of_job(job_id))
    try:
        yield Follower(services, job_id, cursor, subscriber)
    finally:
        services.fanout.remove(subscriber)


def ending_of(job: Job) -> Event:
    """The ending of an ended job, as its stream said it."""
    at = job.ended_at or job.created_at
    return Event(
        id=f"{at}-0",
        kind=ENDED[job.state],
        job_id=job.id,
        at=at,
        service_required=job.service_required,
        priority=job.priority,
        client_id=job.client_id,
        attempt=job.attempt,
        worker_id=job.worker_id,
        message=job.cancel_reason,
        result=job.result,
        error=job.error,
    )


ROUTES: Final = (("GET", "/api/jobs/{job_id:[^/]+}/progress", job_progress),)
