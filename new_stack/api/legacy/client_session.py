"""A client's connection: it does what the messages ask for and delivers each event of its jobs once, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from new_stack.api.legacy.dialect import Action, Dialect, Frame, Request
from new_stack.api.legacy.hub import HUB
from new_stack.api.legacy.messages import Fields, Refusal, value
from new_stack.api.legacy.session import Connection, Session
from new_stack.api.legacy.v2.client import V2, is_v2_message
from new_stack.api.services import Services
from new_stack.api.sse.follow import ending_of
from new_stack.api.sse.over_sockets import SocketStreams
from new_stack.api.streaming.fanout import DeliveryBarrier, Published
from new_stack.queue.errors import InvalidTransition, JobConflict, JobNotFound
from new_stack.queue.events import ENDINGS, Event, EventKind, parse_id
from new_stack.queue.jobs import Job, JobState, NewJob

ENDS_REMEMBERED: Final = 1_000
PENDING_SECONDS: Final = 0.25
"""How long an answer waits for the events before it; the reader is a few ms behind, unless Redis is away."""


class ClientSession(Session):
    """One client. It hears of every job that carries its id, also of those it left behind on an older connection."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self._dialect: Dialect = HUB
        self._followed: dict[str, None] = {}
        self._buffered: dict[str, list[Published]] = {}
        self._last_end_sent: dict[str, int] = {}
        self._heard_at: dict[str, float] = {}
        """When there was news last of each job that is known and whose end is awaited, oldest first (loop time)."""
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
        services.fanout.follow_client(self.subscriber, name)

    async def greet(self) -> None:
        """The welcome."""
        await self.connection.send(self._dialect.greeting(self.name, self.now))

    def leave(self) -> None:
        """Forget all subscriptions."""
        self._streams.cancel()
        self.services.fanout.remove(self.subscriber, jobs=self._followed, client_id=self.name)

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

    async def refuse(self, sentence: str) -> None:
        """Answer with an error in the dialect that is spoken."""
        await self.connection.send(self._dialect.error(sentence, self._message_id, self.now))

    async def deliver(self, item: Published) -> None:
        """Send an event, unless it has to wait for the answer to the submission it belongs to."""
        job_id = item.event.job_id
        if not self._dialect.follows_own_jobs and job_id not in self._followed:
            return
        self._await_end(job_id)
        buffered = self._buffered.get(job_id)
        if buffered is None:
            await self._send_event(item)
        else:
            buffered.append(item)

    async def _send_event(self, item: Published) -> None:
        event = item.event
        if self._last_end_sent.get(event.job_id, -1) >= event.at:
            return  # the client has had the job's end
        await item.complete(self.services.with_result)
        text = item.encoded(self._dialect.text)
        if text:
            await self.connection.send_text(text)
        if event.kind in ENDINGS:
            self._remember_end(event.job_id, event.at)

    async def check(self, *, missed: bool = False) -> None:
        """Read how jobs stand of which there was no news for long, or, where events were missed, all.

        Their end may have been lost on its way here, or be gone from Redis with all the rest.
        """
        latest = self._loop.time() - self.services.settings.keepalive_ms / 1000
        due = [job_id for job_id, heard_at in self._heard_at.items() if missed or heard_at <= latest]
        # One that had ended may have been retried; one that nobody has submitted yet may be there now.
        due += [job_id for job_id in self._followed if missed and job_id not in self._heard_at]
        for job_id in due:
            job = await self.services.job_once_ended(job_id)
            if job is None:
                if job_id in self._heard_at:
                    await self._send_loss(job_id)
            elif job.ended_at is None:
                self._await_end(job_id)
            else:
                self._heard_at.pop(job_id, None)
                await self._send_ending(job)

    async def _send_loss(self, job_id: str) -> None:
        """Say of a job that is gone that it failed: nothing else can come of it."""
        self._heard_at.pop(job_id, None)
        now = int(self.now * 1000)
        error = f"Job {job_id} is gone: its data was deleted."
        loss = Event(
            id="0-0", kind=EventKind.FAILED, job_id=job_id, at=now, service_required="unknown", priority=0, error=error
        )
        await self._send(self._dialect.event(loss))

    def _await_end(self, job_id: str) -> None:
        self._heard_at.pop(job_id, None)
        self._heard_at[job_id] = self._loop.time()
        if len(self._heard_at) > self.services.settings.subscriptions_per_connection:
            del self._heard_at[next(iter(self._heard_at))]

    async def _submit(self, request: Request) -> None:
        job = request.job or NewJob()
        job_id = job.id or f"job-{self.services.new_id()}"
        job = msgspec.structs.replace(job, id=job_id)
        self._buffered[job_id] = []
        try:
            submission = await self.services.queue.submit(job)
            self.services.metrics.submitted["websocket"] += 1
            if not submission.created and self._dialect.follows_own_jobs:
                self._follow(job_id)
            if self._dialect.follows_own_jobs:
                self._await_end(job_id)
            await self.connection.send(self._dialect.accepted(submission, request.message_id, self.now))
        except JobConflict as error:
            raise Refusal(f"Job {job_id} exists already with other content: {error}") from None
        finally:
            await self._release(job_id)
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
        self._buffered[job_id] = []
        try:
            self._follow(job_id)
            await self.connection.send(self._dialect.subscribed(job_id, self.now))
            job = await self.services.job_once_ended(job_id)
            heard = followed or (job is not None and self._owns(job))
            if job is not None and job.ended_at is None:
                self._await_end(job_id)
            if job is not None and not heard:
                await self._send_ending(job)  # and not what led to it, should that still be on its way
        finally:
            await self._release(job_id)
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
        self._last_end_sent.pop(job_id, None)
        self._await_end(job_id)
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
        """No more events come for a job that has ended: send its end to a client that came late, once."""
        if job.ended_at is None or self._last_end_sent.get(job.id, -1) >= job.ended_at:
            return
        self._remember_end(job.id, job.ended_at)
        await self._send(self._dialect.event(ending_of(job)))

    async def _send_ending_after_pending(self, job: Job) -> None:
        """The same for one who heard of the job before: its last events may still be coming, the ending among them."""
        if job.ended_at is not None:
            await self._send_after_pending(None)
            await self._send_ending(job)

    def _remember_end(self, job_id: str, ended_at: int) -> None:
        self._heard_at.pop(job_id, None)
        self._last_end_sent.pop(job_id, None)
        self._last_end_sent[job_id] = ended_at
        if len(self._last_end_sent) > ENDS_REMEMBERED:
            del self._last_end_sent[next(iter(self._last_end_sent))]

    async def _release(self, job_id: str) -> None:
        """Deliver what happened while the answer was on its way; nothing overtakes it."""
        buffered = self._buffered[job_id]
        while buffered:
            await self._send_event(buffered.pop(0))
        del self._buffered[job_id]

    def _hears_of(self, job: Job) -> bool:
        return job.id in self._followed or self._owns(job)

    def _owns(self, job: Job) -> bool:
        return self._dialect.follows_own_jobs and job.client_id == self.name

    def _follow(self, job_id: str) -> None:
        self.services.fanout.follow_job(self.subscriber, job_id)
        self._followed.pop(job_id, None)
        self._followed[job_id] = None
        if len(self._followed) > self.services.settings.subscriptions_per_connection:
            self._unfollow(next(iter(self._followed)))

    def _unfollow(self, job_id: str) -> None:
        self._followed.pop(job_id, None)
        self._heard_at.pop(job_id, None)
        self.services.fanout.leave_job(self.subscriber, job_id)
