"""Ends that no event tells a client any more: it came late, the event was lost on its way, or the job is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from new_stack.api.services import Services
from new_stack.api.sse.follow import ending_of
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job

REMEMBERED: Final = 1_000


class LateEnds:
    """What one client awaits, and which ends it has had, so that it is told each end once."""

    def __init__(self, services: Services, loop_time: Callable[[], float]) -> None:
        self._services = services
        self._time = loop_time
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

    def of(self, job: Job) -> Event | None:
        """The end of a job that has ended, if the client has not had it: no more events come for it."""
        if job.ended_at is None or self._last_sent.get(job.id, -1) >= job.ended_at:
            return None
        self.sent(job.id, job.ended_at)
        return ending_of(job)

    async def found(self, followed: Iterable[str], *, missed: bool) -> AsyncIterator[Event]:
        """The ends of jobs of which there was no news for long, or, where events were missed, of all.

        They may have been lost on their way here, or be gone from Redis with all the rest.
        """
        latest = self._time() - self._services.settings.keepalive_ms / 1000
        due = [job_id for job_id, heard_at in self._heard_at.items() if missed or heard_at <= latest]
        # One that had ended may have been retried; one that nobody has submitted yet may be there now.
        due += [job_id for job_id in followed if missed and job_id not in self._heard_at]
        for job_id in due:
            job = await self._services.job_once_ended(job_id)
            if job is None:
                if self._heard_at.pop(job_id, None) is not None:
                    yield self._loss(job_id)
            elif job.ended_at is None:
                self.awaits(job_id)
            else:
                self._heard_at.pop(job_id, None)
                if (ending := self.of(job)) is not None:
                    yield ending

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
