"""A client's connection: it does what the messages ask for and delivers each event of its jobs once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from new_stack.api.legacy.dialect import Action, Dialect, Frame, Request
from new_stack.api.legacy.hub import HUB
from new_stack.api.legacy.late_ends import LateEnds
from new_stack.api.legacy.messages import Fields, Refusal, value
from new_stack.api.legacy.session import Connection, Session
from new_stack.api.legacy.v2.client import V2, is_v2_message
from new_stack.api.services import Services
from new_stack.api.sse.over_sockets import SocketStreams
from new_stack.api.streaming.fanout import DeliveryBarrier, Published, of_client, of_job
from new_stack.queue.errors import InvalidTransition, JobConflict, JobNotFound
from new_stack.queue.events import ENDINGS, Event, parse_id
from new_stack.queue.jobs import Job, JobState, NewJob

PENDING_SECONDS: Final = 0.25
"""How long an answer waits for the events before it; the reader is a few ms behind, unless Redis is away."""


class ClientSession(Session):
    """One client. It hears of every job that carries its id, also of those it left behind on an older connection."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self._dialect: Dialect = HUB
        self._followed: dict[str, None] = {}
        self._taking = asyncio.Lock()
        """Held while a job is taken, or followed, until the client has been told so."""
        self._ends = LateEnds(services, self._loop.time)
        self._streams = SocketStreams(services, connection, self.refuse)
        self._message_id: object = None
        """What the client calls the message that is served now: an error names it."""
        self._perform: Mapping[Action, Callable[[Request], Awaitable[None]]] = {
            Action.SUBMIT: self._submit,
            Action.STATUS: self._status,
            Action.SUBSCRIBE: self._subscribe,
            Action.UNSUBSCRIBE: self._unsubscribe,
            Action.CANCEL: self._cancel,
            Action.RETRY: self._retry,
            Action.ALIVE: self._alive,
            Action.SUBSCRIBE_STATS: self._subscribe_stats,
            Action.SYNC: self._sync,
        }
        services.fanout.follow(self.subscriber, of_client(name))

    async def greet(self) -> None:
        """The welcome."""
        await self.greet_with(self._dialect.greeting(self.name, self.now))

    @property
    def awaits_jobs(self) -> bool:
        """Whether it waits for the end of a job."""
        return bool(self._ends.awaited or self._taking.locked() or self._streams.count)

    def leave(self) -> None:
        """Forget all subscriptions."""
        self._streams.cancel()
        self.services.fanout.remove(self.subscriber)

    async def handle(self, fields: Fields) -> None:
        """Serve one message."""
        if value(fields, "type") == "follow_job":
            self._streams.start(fields)
            return
        if self._dialect is HUB and is_v2_message(fields):
            self._dialect = V2
            self.speaks_later_dialect()
            await self.greet()
        self._message_id = value(fields, "id")
        request = self._dialect.read(fields, self.name)
        await self._perform[request.action](request)

    async def refuse(self, sentence: str, **more: Any) -> None:
        """Answer with an error in the dialect that is spoken."""
        await self.connection.send(self._dialect.error(sentence, self._message_id, self.now) | more)

    async def fetch(self, item: Published) -> None:
        """Get the result, where the client gets the event."""
        if self._wants(item.event) and not self._ends.had(item.event):
            self._ends.awaits(item.event.job_id)
            await item.complete(self.services.with_result)

    async def deliver(self, item: Published) -> None:
        """Send an event, unless the client has had the job's end."""
        event = item.event
        if not self._wants(event):
            return
        self._ends.awaits(event.job_id)
        if self._ends.had(event):
            return
        text = item.encoded(self._dialect.text)
        if text:
            await self.connection.send_text(text)
        if event.kind in ENDINGS:
            self._ends.sent(event.job_id, event.at)

    async def check(self, *, missed: bool = False) -> None:
        """Send the ends that were not heard of."""
        async for ending in self._ends.found(tuple(self._followed), missed=missed):
            await self._send(self._dialect.event(ending))

    async def _submit(self, request: Request) -> None:
        job = request.job or NewJob()
        job_id = job.id or f"job-{self.services.new_id()}"
        job = msgspec.structs.replace(job, id=job_id)
        async with self._taking, self.delivering:
            try:
                submission = await self.services.queue.submit(job)
            except JobConflict as error:
                raise Refusal(f"Job {job_id} exists already with other content: {error}") from None
            self.services.metrics.submitted["websocket"] += 1
            if not submission.created and self._dialect.follows_own_jobs:
                self._follow(job_id)
            if self._dialect.follows_own_jobs:
                self._ends.awaits(job_id)
            await self.connection.send(self._dialect.accepted(submission, request.message_id, self.now))
        if submission.state.ended and submission.job is not None:
            await self._send_ending_after_pending(submission.job)

    async def _status(self, request: Request) -> None:
        await self._send_after_pending(self._dialect.status(await self._job(request.job_id), self.now))

    async def _sync(self, request: Request) -> None:
        """A page of the later dialect believes that a job's state is stale: all monitors, of every process, get it."""
        job = await self._job(request.job_id)
        await self.services.queue.show(job.id)
        await self._send_after_pending(self._dialect.status(job, self.now))

    async def _alive(self, _request: Request) -> None:
        await self.connection.send(self._dialect.alive(self.now))

    async def _subscribe_stats(self, _request: Request) -> None:
        await self._send(self._dialect.stats_subscribed and self._dialect.stats_subscribed(self.now))

    async def _unsubscribe(self, request: Request) -> None:
        self._unfollow(request.job_id)
        await self._send(self._dialect.unsubscribed and self._dialect.unsubscribed(request.job_id, self.now))

    async def _send(self, frame: Frame | None) -> None:
        if frame is not None:
            await self.connection.send(frame)

    async def _subscribe(self, request: Request) -> None:
        job_id = request.job_id
        followed = job_id in self._followed
        async with self._taking, self.delivering:
            self._follow(job_id)
            await self.connection.send(self._dialect.subscribed(job_id, self.now))
            job = await self.services.job_once_ended(job_id)
            heard = followed or (job is not None and self._owns(job))
            if job is not None and job.ended_at is None:
                self._ends.awaits(job_id)
            if job is not None and not heard:
                await self._send_ending(job)  # and not what led to it, should that still be on its way
        if job is not None and heard:
            await self._send_ending_after_pending(job)

    async def _cancel(self, request: Request) -> None:
        job_id, queue = request.job_id, self.services.queue
        before = await queue.job(job_id, bodies=False)
        try:
            job = await queue.cancel(job_id, request.reason)
        except (JobNotFound, InvalidTransition):
            raise Refusal(
                f"Failed to cancel job {job_id}. Job may not exist or is already in a terminal state."
            ) from None
        answer = self._dialect.cancelled(job, self.now)
        await self._send_after_pending(answer)
        if before is not None and before.state is JobState.CANCELLED and self._hears_of(job):
            await self._send_after_pending(answer)

    async def _retry(self, request: Request) -> None:
        job_id = request.job_id
        try:
            job = await self.services.queue.retry(job_id)
        except JobNotFound:
            raise Refusal(f"Failed to force retry job {job_id}. Job does not exist.") from None
        except InvalidTransition:
            await self._send_after_pending(self._dialect.not_retried(await self._job(job_id), self.now))
            return
        self._ends.retried(job_id)
        await self._send_after_pending(self._dialect.retried(job, self.now))

    async def _send_after_pending(self, frame: Frame | None) -> None:
        """Answer after every event that happened before: who reads "completed" has had the completion already.

        Without an answer, only wait for those events.
        """
        newest = parse_id(await self.services.queue.last_event_id()) or (0, 0)
        await self.services.fanout.reached(newest, PENDING_SECONDS)
        barrier = DeliveryBarrier(frame)
        self.subscriber.put(barrier)
        await barrier.sent.wait()  # ends with the session at the latest, which cancels it

    async def _job(self, job_id: str) -> Job:
        job = await self.services.queue.job(job_id)
        if job is None:
            raise Refusal(f"Job {job_id} not found")
        return job

    async def _send_ending(self, job: Job) -> None:
        """Send a job's end to a client that came late, once."""
        if (ending := self._ends.of(job)) is not None:
            await self._send(self._dialect.event(ending))

    async def _send_ending_after_pending(self, job: Job) -> None:
        """The same for one who heard of the job before: its last events may still be coming, the ending among them."""
        if job.ended_at is not None:
            await self._send_after_pending(None)
            await self._send_ending(job)

    def _hears_of(self, job: Job) -> bool:
        return job.id in self._followed or self._owns(job)

    def _wants(self, event: Event) -> bool:
        return self._dialect.follows_own_jobs or event.job_id in self._followed

    def _owns(self, job: Job) -> bool:
        return self._dialect.follows_own_jobs and job.client_id == self.name

    def _follow(self, job_id: str) -> None:
        self.services.fanout.follow(self.subscriber, of_job(job_id))
        self._followed.pop(job_id, None)
        self._followed[job_id] = None
        if len(self._followed) > self.services.settings.subscriptions_per_connection:
            self._unfollow(next(iter(self._followed)))

    def _unfollow(self, job_id: str) -> None:
        self._followed.pop(job_id, None)
        self._ends.awaits_no_more(job_id)
        self.services.fanout.leave(self.subscriber, of_job(job_id))
