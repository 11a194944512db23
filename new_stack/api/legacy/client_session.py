"""A client's connection: it does what the messages ask for and delivers each event of its jobs once, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from new_stack.api.legacy.hub import Frame
from new_stack.api.legacy.late_ends import LateEnds
from new_stack.api.legacy.messages import Fields, Refusal, job_id_of, text_field, value
from new_stack.api.legacy.session import Connection, Session
from new_stack.api.services import Services
from new_stack.api.streaming.fanout import DeliveryBarrier, Published, of_client, of_job
from new_stack.queue.errors import InvalidTransition, JobConflict, JobNotFound
from new_stack.queue.events import ENDINGS, Event, parse_id
from new_stack.queue.jobs import Job, JobState

PENDING_SECONDS: Final = 0.25
"""How long an answer waits for the events before it; the reader is a few ms behind, unless Redis is away."""
MANUALLY: Final = "Manually cancelled"


class ClientSession(Session):
    """One client. It hears of every job that carries its id, also of those it left behind on an older connection."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self.actions: Mapping[str, Action] = ACTIONS
        """What is done for which message."""
        self._ends = LateEnds(services, self._send_ending, partial(self.send_after_pending, None))
        services.fanout.follow(self.subscriber, of_client(name))

    async def greet(self) -> None:
        """The welcome."""
        await self.greet_with(self.dialect.greeting(self.name, self.now()))

    @property
    def awaits_jobs(self) -> bool:
        """Whether it waits for the end of a job."""
        return bool(self._ends.awaited or self.delivering.locked())

    async def handle(self, kind: str, fields: Fields) -> None:
        """Serve one message."""
        self.message_id = value(fields, "id")
        if kind in self.dialect.answers:
            await self.connection.send(self.dialect.answers[kind](self.now()))
        elif kind in self.actions:
            await self.actions[kind](self, fields)
        else:
            raise Refusal(f"Unsupported message type: {kind}")

    async def fetch(self, item: Published) -> None:
        """Get the result, where the client gets the event."""
        if self._wants(item.event) and not self._ends.had(item.event):
            self._ends.awaits(item.event.job_id)
            await item.complete(self.services.queue)

    async def deliver(self, item: Published) -> None:
        """Send an event, unless the client has had the job's end."""
        event = item.event
        if not self._wants(event) or self._ends.had(event):
            return
        text = item.encoded(self.dialect.text)
        if text:
            await self.connection.send_text(text)
        if event.kind in ENDINGS:
            self._ends.sent(event.job_id, event.at)

    async def check(self, *, missed: bool = False) -> None:
        """Send the ends that were not heard of."""
        await self._ends.check([name for kind, name in self.subscriber.topics if kind == "job"], missed=missed)

    async def submit(self, fields: Fields) -> None:
        """Take a job."""
        job = self.dialect.job(fields, self.name)
        job = msgspec.structs.replace(job, id=job.id or f"job-{self.services.new_id()}")
        async with self.delivering:
            try:
                submission = await self.services.queue.submit(job)
            except JobConflict as error:
                raise Refusal(f"Job {job.id} exists already with other content: {error}") from None
            self.services.metrics.submitted["websocket"] += 1
            if self.dialect.follows_own_jobs:
                if not submission.created:
                    self._follow(submission.job_id)
                self._ends.awaits(submission.job_id)
            await self.connection.send(self.dialect.accepted(submission, self.message_id, self.now()))
        if submission.state.ended:
            await self._ends.tell_after_pending(submission.job)

    async def status(self, fields: Fields) -> None:
        """Tell how a job stands."""
        await self.send_after_pending(self.dialect.status(await self.job(fields), self.now()))

    async def subscribe(self, fields: Fields) -> None:
        """Follow a job, and tell its end where it has ended."""
        job_id = job_id_of(fields)
        followed = of_job(job_id) in self.subscriber.topics
        async with self.delivering:
            self._follow(job_id)
            await self.connection.send(self.dialect.subscribed(job_id, self.now()))
            job = await self.services.job_once_ended(job_id)
            heard = followed or (job is not None and self._owns(job))
            if not heard:
                await self._ends.tell(job)  # and not what led to its end, should that still be on its way
        if heard:
            await self._ends.tell_after_pending(job)

    async def cancel(self, fields: Fields) -> None:
        """End a job; who hears of it and cancels it again is told twice."""
        job_id, queue = job_id_of(fields), self.services.queue
        reason = text_field(fields, "reason") or MANUALLY
        before = await queue.job(job_id, bodies=False)
        try:
            job = await queue.cancel(job_id, reason)
        except (JobNotFound, InvalidTransition):
            raise Refusal(
                f"Failed to cancel job {job_id}. Job may not exist or is already in a terminal state."
            ) from None
        answer = self.dialect.cancelled(job, self.now())
        await self.send_after_pending(answer)
        again = before is not None and before.state is JobState.CANCELLED
        if again and (of_job(job.id) in self.subscriber.topics or self._owns(job)):
            await self.send_after_pending(answer)

    async def retry(self, fields: Fields) -> None:
        """Make a job pending again that has failed or was cancelled; any other is left as it is."""
        job_id = job_id_of(fields)
        try:
            job, changed = await self.services.queue.retry(job_id), True
            self._ends.retried(job_id)
        except JobNotFound:
            raise Refusal(f"Failed to force retry job {job_id}. Job does not exist.") from None
        except InvalidTransition:
            job, changed = await self.job(fields), False
        await self.send_after_pending(self.dialect.retried(job, changed, self.now()))

    async def send_after_pending(self, frame: Frame | None) -> None:
        """Answer after every event that happened before: who reads "completed" has had the completion already.

        Without an answer, only wait for those events.
        """
        newest = parse_id(await self.services.queue.last_event_id()) or (0, 0)
        await self.services.fanout.reached(newest, PENDING_SECONDS)
        barrier = DeliveryBarrier(frame)
        self.subscriber.put(barrier)
        await barrier.sent.wait()  # ends with the session at the latest, which cancels it

    async def job(self, fields: Fields) -> Job:
        """The job that a message names. Raises Refusal."""
        job_id = job_id_of(fields)
        job = await self.services.queue.job(job_id)
        if job is None:
            raise Refusal(f"Job {job_id} not found")
        return job

    async def _send_ending(self, ending: Event) -> None:
        await self.connection.send_text(self.dialect.text(ending))

    def _wants(self, event: Event) -> bool:
        return self.dialect.follows_own_jobs or of_job(event.job_id) in self.subscriber.topics

    def _owns(self, job: Job) -> bool:
        return self.dialect.follows_own_jobs and job.client_id == self.name

    def _follow(self, job_id: str) -> None:
        self.services.fanout.follow(self.subscriber, of_job(job_id))
        if len(self.subscriber.topics) - 1 > self.services.settings.subscriptions_per_connection:  # one is its client's
            self.unfollow(next(name for kind, name in self.subscriber.topics if kind == "job"))

    def unfollow(self, job_id: str) -> None:
        """Hear of a job no more."""
        self._ends.awaits_no_more(job_id)
        self.services.fanout.leave(self.subscriber, of_job(job_id))


Action = Callable[[Any, Fields], Awaitable[None]]
"""A method of the session that has the message."""

ACTIONS: Final[Mapping[str, Action]] = {
    "submit_job": ClientSession.submit,
    "request_job_status": ClientSession.status,
    "subscribe_job": ClientSession.subscribe,
    "cancel_job": ClientSession.cancel,
    "force_retry_job": ClientSession.retry,
}
"""The hub's messages that ask for something."""
