"""The stream of one job: its history first, then what happens, without a hole, without a double, to its end."""

from __future__ import annotations

from collections.abc import Iterable

from new_stack.api.fanout import Published, Subscriber
from new_stack.api.services import Services
from new_stack.api.sse import frames
from new_stack.api.sse.cursor import Resume, StreamId, parse_id
from new_stack.api.sse.stream import Writer
from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.events import ENDINGS, Event, EventKind
from new_stack.queue.jobs import Job, JobState

ENDED: dict[JobState, EventKind] = {
    JobState.COMPLETED: EventKind.COMPLETED,
    JobState.FAILED: EventKind.FAILED,
    JobState.CANCELLED: EventKind.CANCELLED,
}


class JobStream:
    """Follows one job for one reader. The subscription is older than the history, so nothing falls between them."""

    def __init__(self, services: Services, job_id: str, stream: Writer, subscriber: Subscriber) -> None:
        self._services = services
        self._job_id = job_id
        self._stream = stream
        self._subscriber = subscriber
        self._last: StreamId = (0, 0)

    async def run(self, resume: Resume) -> None:
        """Send everything from the history on, until the job ends or the server has to break off."""
        if resume.gap is not None:
            await self._stream.write(frames.gap_frame(resume.gap, resume.oldest))
        self._last = parse_id(resume.newest) or self._last
        ended = await self._send(resume.events)
        if not ended and not resume.complete:
            ended = await self._ended_unseen()
        seconds = self._services.settings.keepalive_ms / 1000
        while not ended and self._subscriber.closed is None:
            items = await self._subscriber.take(seconds)
            if items and all(isinstance(item, Published) for item in items):
                ended = await self._send_live([item for item in items if isinstance(item, Published)])
            elif self._subscriber.closed is None:
                ended = await self._catch_up()
        if not ended:
            await self._stream.write(frames.disconnect_frame(self._subscriber.closed or ""))

    async def _send_live(self, items: list[Published]) -> bool:
        parts: list[bytes] = []
        for item in items:
            at = parse_id(item.event.id) or (0, 0)
            if at <= self._last:
                continue
            self._last = at
            await item.complete(self._services.with_result)
            parts.append(item.encoded(frames.event_frame))
            if item.event.kind in ENDINGS:
                await self._stream.write_all(parts)
                return True
        await self._stream.write_all(parts)
        return False

    async def _send(self, events: Iterable[Event]) -> bool:
        """Send events of the history; true where the last of them is an ending."""
        ended = False
        parts: list[bytes] = []
        for event in events:
            parts.append(frames.event_frame(await self._services.with_result(event)))
            self._last = parse_id(event.id) or self._last
            ended = event.kind in ENDINGS
        await self._stream.write_all(parts)
        return ended

    async def _catch_up(self) -> bool:
        """Nothing came for a while, or this process missed something: look, so that a lost word is not waited for."""
        try:
            missed = await self._newer()
        except QueueUnavailable:
            missed = []
        if missed:
            return await self._send(missed)
        await self._stream.write(frames.KEEPALIVE)
        return False

    async def _newer(self) -> list[Event]:
        return await self._services.queue.history(self._job_id, after=f"{self._last[0]}-{self._last[1]}")

    async def _ended_unseen(self) -> bool:
        """A job whose stream was lost or trimmed, and that has ended, still gets its ending: out of its record."""
        job = await self._services.queue.job(self._job_id)
        if job is None or job.state not in ENDED:
            return False
        if not await self._send(await self._newer()):
            await self._stream.write(frames.event_frame(ending_of(job)))
        return True


def ending_of(job: Job) -> Event:
    """The ending of a job as its stream would have told it."""
    return Event(
        id=f"{job.ended_at or job.created_at}-0",
        kind=ENDED[job.state],
        job_id=job.id,
        at=job.ended_at or job.created_at,
        service_required=job.service_required,
        priority=job.priority,
        client_id=job.client_id,
        attempt=job.attempt,
        worker_id=job.worker_id,
        message=job.cancel_reason,
        result=job.result,
        error=job.error,
    )
