"""Ends that no event tells a client any more: it came late, the event was lost on its way, or the job is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from new_stack.api.services import Services
from new_stack.api.sse.follow import ending_of
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job

REMEMBERED: Final = 1_000


class LateEnds:
    """What one client awaits, and which ends it has had, so that it is told each end once."""

    def __init__(
        self,
        services: Services,
        send: Callable[[Event], Awaitable[None]],
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        """`send` sends an end; `catch_up` waits until the client has what happened so far."""
        self._services = services
        self._send = send
        self._catch_up = catch_up
        self._time = asyncio.get_running_loop().time
        self._last_sent: dict[str, int] = {}
        self._heard_at: dict[str, float] = {}
        """When there was news last of each job that is known and whose end is awaited, oldest first."""

    def awaits(self, job_id: str) -> None:
        """There was news of the job, and it has not ended."""
        self._heard_at.pop(job_id, None)
        self._heard_at[job_id] = self._time()
        if len(self._heard_at) > self._services.settings.subscriptions_per_connection:
            del self._heard_at[next(iter(self._heard_at))]

    @property
    def awaited(self) -> bool:
        """Whether there is a job that has not ended."""
        return bool(self._heard_at)

    def awaits_no_more(self, job_id: str) -> None:
        """Nobody asks for the job's end any more."""
        self._heard_at.pop(job_id, None)

    def retried(self, job_id: str) -> None:
        """The job ends once more."""
        self._last_sent.pop(job_id, None)
        self.awaits(job_id)

    def had(self, event: Event) -> bool:
        """Whether the client has had the end of the job's run that this event tells of."""
        return self._last_sent.get(event.job_id, -1) >= event.at

    def sent(self, job_id: str, ended_at: int) -> None:
        """The client has been told the end."""
        self._heard_at.pop(job_id, None)
        self._last_sent.pop(job_id, None)
        self._last_sent[job_id] = ended_at
        if len(self._last_sent) > REMEMBERED:
            del self._last_sent[next(iter(self._last_sent))]

    async def tell(self, job: Job | None) -> None:
        """Tell the end of a job that has ended, if the client has not had it: no more events come for it."""
        if job is None:
            return
        if job.ended_at is None:
            self.awaits(job.id)
        elif self._last_sent.get(job.id, -1) >= job.ended_at:
            self._heard_at.pop(job.id, None)
        else:
            self.sent(job.id, job.ended_at)
            await self._send(ending_of(job))

    async def tell_after_pending(self, job: Job | None) -> None:
        """The same for one who heard of the job before: its last events may still be coming, the ending among them."""
        if job is not None and job.ended_at is not None:
            await self._catch_up()
        await self.tell(job)

    async def check(self, followed: Iterable[str], *, missed: bool) -> None:
        """Tell the ends of jobs of which there was no news for long, or, where events were missed, of all.

        They may have been lost on their way here, or be gone from Redis with all the rest.
        """
        latest = self._time() - self._services.settings.keepalive_ms / 1000
        due = [job_id for job_id, heard_at in self._heard_at.items() if missed or heard_at <= latest]
        # One that had ended may have been retried; one that nobody has submitted yet may be there now.
        due += [job_id for job_id in followed if missed and job_id not in self._heard_at]
        for job_id in due:
            job = await self._services.job_once_ended(job_id)
            if job is None and self._heard_at.pop(job_id, None) is not None:
                await self._send(self._loss(job_id))
            await self.tell(job)

    def _loss(self, job_id: str) -> Event:
        """A job that is gone failed: nothing else can come of it."""
        return Event(
            id="0-0",
            kind=EventKind.FAILED,
            job_id=job_id,
            at=int(self._services.clock() * 1000),
            service_required="unknown",
            priority=0,
            error=f"Job {job_id} is gone: its data was deleted.",
        )
