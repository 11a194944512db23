"""Follows one job, for SSE and WebSockets alike: its history first, then what happens, without a hole or a double.

The subscription begins before the history is read, so that no event falls between the two. What then comes twice is
told apart by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from new_stack.api.services import Services
from new_stack.api.streaming import sse
from new_stack.api.streaming.cursor import Resume, StreamId, parse_id, resume
from new_stack.api.streaming.fanout import Published, Subscriber
from new_stack.queue.errors import JobNotFound, QueueUnavailable
from new_stack.queue.events import ENDINGS, Event, EventKind
from new_stack.queue.jobs import Job, JobState

ENDED: Final[dict[JobState, EventKind]] = {
    JobState.COMPLETED: EventKind.COMPLETED,
    JobState.FAILED: EventKind.FAILED,
    JobState.CANCELLED: EventKind.CANCELLED,
}


class Follower:
    """One reader of one job's events."""

    def __init__(self, services: Services, job_id: str, cursor: str | None, subscriber: Subscriber) -> None:
        self._services = services
        self._job_id = job_id
        self._cursor = cursor
        self._subscriber = subscriber
        self._last: StreamId = (0, 0)
        self._plan = Resume(events=())

    async def prepare(self) -> bool:
        """Read the history; false where the reader has had the ending already. Raises JobNotFound."""
        history = await self._services.queue.history(self._job_id)
        if not history and await self._services.queue.job(self._job_id) is None:
            raise JobNotFound(f"Job {self._job_id} not found")
        self._plan = resume(history, self._cursor)
        return not (self._plan.over or (self._plan.gap is not None and await self._had_the_ending()))

    async def _had_the_ending(self) -> bool:
        """Whether the cursor is that of an ending that was sent out of the job's record, its stream being gone."""
        job = await self._services.queue.job(self._job_id) if self._cursor else None
        return job is not None and job.state in ENDED and ending_of(job).id == self._cursor

    async def run(self, stream: sse.Writer) -> bool:
        """Send everything from the history on; true where the job ended, false where the server has to break off."""
        plan = self._plan
        if plan.gap is not None:
            await stream.write_all([sse.gap_frame(plan.gap, plan.oldest)])
        self._last = parse_id(plan.newest) or self._last
        ended = await self._send(stream, plan.events)
        if not ended and not plan.complete:
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

    async def _send_live(self, stream: sse.Writer, items: list[Published]) -> bool:
        parts: list[bytes] = []
        ended = False
        for item in items:
            at = parse_id(item.event.id) or (0, 0)
            if at <= self._last:
                continue
            self._last = at
            await item.complete(self._services.with_result)
            parts.append(item.encoded(sse.job_event_frame))
            if item.event.kind in ENDINGS:
                ended = True
                break
        await stream.write_all(parts)
        return ended

    async def _send(self, stream: sse.Writer, events: Iterable[Event]) -> bool:
        """Send events of the history; true where the last of them is an ending."""
        ended = False
        parts: list[bytes] = []
        for event in events:
            parts.append(sse.job_event_frame(await self._services.with_result(event)))
            self._last = parse_id(event.id) or self._last
            ended = event.kind in ENDINGS
        await stream.write_all(parts)
        return ended

    async def _catch_up(self, stream: sse.Writer) -> bool:
        """Nothing came for a while, or this process missed something: read, so that no lost event is waited for."""
        try:
            missed = await self._newer()
        except QueueUnavailable:
            missed = []
        if missed:
            return await self._send(stream, missed)
        await stream.write_all([sse.KEEPALIVE])
        return False

    async def _newer(self) -> list[Event]:
        return await self._services.queue.history(self._job_id, after=f"{self._last[0]}-{self._last[1]}")

    async def _send_unseen_ending(self, stream: sse.Writer) -> bool:
        """A job whose stream was lost or trimmed, and that has ended, still gets its ending: out of its record."""
        job = await self._services.queue.job(self._job_id)
        if job is None or job.state not in ENDED:
            return False
        if not await self._send(stream, await self._newer()):
            await stream.write_all([sse.job_event_frame(ending_of(job))])
        return True


@contextmanager
def following(services: Services, job_id: str, cursor: str | None) -> Iterator[Follower]:
    """A follower that hears of the job from now on."""
    subscriber = services.fanout.subscriber()
    services.fanout.follow_job(subscriber, job_id)
    try:
        yield Follower(services, job_id, cursor, subscriber)
    finally:
        services.fanout.remove(subscriber, jobs=(job_id,))


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
