"""A client's connection: it does what the messages ask for and delivers each event of its jobs once, in order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import msgspec

from new_stack.api.fanout import Published, Reply
from new_stack.api.legacy import clients_v2
from new_stack.api.legacy.actions import (
    AskStatus,
    Cancel,
    ForceRetry,
    StayAlive,
    Submit,
    Subscribe,
    SubscribeStats,
    Unsubscribe,
)
from new_stack.api.legacy.client import HubDialect, stats_subscribed
from new_stack.api.legacy.frames import encode as encode_frame
from new_stack.api.legacy.frames import greeting
from new_stack.api.legacy.messages import Fields, Refusal, value
from new_stack.api.services import Services
from new_stack.api.sockets.connection import Connection, ConnectionGone
from new_stack.api.sockets.followed_job import follow_job
from new_stack.api.sockets.session import Session
from new_stack.api.sse.cursor import parse_id
from new_stack.queue.errors import InvalidTransition, JobConflict, JobNotFound, QueueError
from new_stack.queue.events import ENDINGS, Event
from new_stack.queue.jobs import Job, JobState

TOLD_KEPT: Final = 1_000
IN_TURN_SECONDS: Final = 0.25
"""How long an answer waits for the events before it; the reader is a few ms behind, unless Redis is away."""
STREAMS_AT_ONCE: Final = 100


def _hub_text(event: Event) -> str:
    frame = HubDialect.event(event)
    return "" if frame is None else encode_frame(frame).decode()


def _later_text(event: Event) -> str:
    frame = clients_v2.LaterDialect.event(event)
    return "" if frame is None else encode_frame(frame).decode()


class ClientSession(Session):
    """One client. It hears of every job that carries its id, also of those it left behind on an older connection."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self.dialect: type[HubDialect | clients_v2.LaterDialect] = HubDialect
        self._text = _hub_text
        self._followed: dict[str, None] = {}
        self._held: dict[str, list[Published]] = {}
        self._told: dict[str, int] = {}
        self._streams: set[asyncio.Task[None]] = set()
        services.fanout.follow_client(self.subscriber, name)

    async def greet(self) -> None:
        """The welcome."""
        await self.connection.send(greeting("Client", self.name, self.now))

    def leave(self) -> None:
        """Forget all subscriptions."""
        for stream in self._streams:
            stream.cancel()
        self.services.fanout.remove(self.subscriber, jobs=self._followed, client_id=self.name)

    async def handle(self, fields: Fields) -> None:
        """Serve one message."""
        if value(fields, "type") == "follow_job":
            self._start_stream(fields)
        else:
            await self._act(fields)

    async def _act(self, fields: Fields) -> None:
        if self.dialect is HubDialect and clients_v2.tells(fields):
            self.dialect, self._text = clients_v2.LaterDialect, _later_text
            await self.connection.send(clients_v2.connected(self.name, self.now))
        match self.dialect.read(fields, self.name):
            case Submit() as action:
                await self._submit(action)
            case AskStatus(job_id):
                await self._in_turn(self.dialect.status(await self._job(job_id), self.now))
            case Subscribe(job_id):
                await self._subscribe(job_id)
            case Unsubscribe(job_id):
                self._unfollow(job_id)
                await self.connection.send(clients_v2.unsubscribed(job_id, self.now))
            case Cancel(job_id, reason):
                await self._cancel(job_id, reason)
            case ForceRetry(job_id):
                await self._retry(job_id)
            case StayAlive():
                await self.connection.send(self.dialect.alive(self.now))
            case SubscribeStats():
                await self.connection.send(stats_subscribed(self.now))

    def _start_stream(self, fields: Fields) -> None:
        """Serve a job's stream beside whatever else this connection asks for."""
        if len(self._streams) >= STREAMS_AT_ONCE:
            raise Refusal(f"One connection may follow {STREAMS_AT_ONCE} streams at once")
        task = asyncio.create_task(self._stream(fields), name=f"stream to {self.name}")
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _stream(self, fields: Fields) -> None:
        try:
            await follow_job(self.services, self.connection, fields)
        except ConnectionGone:
            return
        except (Refusal, QueueError) as error:
            with contextlib.suppress(ConnectionGone):
                await self.refuse(str(error))

    async def refuse(self, sentence: str) -> None:
        """Answer with an error in the dialect that is spoken."""
        await self.connection.send(self.dialect.error(sentence, None, self.now))

    async def deliver(self, item: Published) -> None:
        """Send an event, unless it has to wait for the answer to the submission it belongs to."""
        job_id = item.event.job_id
        if not self.dialect.follows_own_jobs and job_id not in self._followed:
            return
        held = self._held.get(job_id)
        if held is None:
            await self._send_event(item)
        else:
            held.append(item)

    async def _send_event(self, item: Published) -> None:
        event = item.event
        if self._told.get(event.job_id, -1) >= event.at:
            return  # it was told already how the job ended
        await item.complete(self.services.with_result)
        text = item.encoded(self._text)
        if text:
            await self.connection.send_text(text)
        if event.kind in ENDINGS:
            self._has_told(event.job_id, event.at)

    async def _submit(self, action: Submit) -> None:
        job = action.job
        if job.id is None:
            job = msgspec.structs.replace(job, id=f"job-{self.services.new_id()}")
        job_id = job.id or ""
        self._held[job_id] = []
        try:
            submission = await self.services.queue.submit(job)
            self.services.metrics.submitted["websocket"] += 1
            if not submission.created and self.dialect.follows_own_jobs:
                self._follow(job_id)
            await self.connection.send(self.dialect.accepted(submission, action.message_id, self.now))
        except JobConflict as error:
            raise Refusal(f"Job {job_id} exists already with other content: {error}") from None
        finally:
            await self._release(job_id)
        if submission.state.ended:
            await self._tell_ending_in_turn(await self._job(job_id))

    async def _subscribe(self, job_id: str) -> None:
        followed = job_id in self._followed
        self._held[job_id] = []
        try:
            self._follow(job_id)
            await self.connection.send(self.dialect.subscribed(job_id, self.now))
            job = await self.services.queue.job(job_id)
            heard = followed or (job is not None and self._owns(job))
            if job is not None and not heard:
                await self._tell_ending(job)  # and not what led to it, should that still be on its way
        finally:
            await self._release(job_id)
        if job is not None and heard:
            await self._tell_ending_in_turn(job)

    async def _cancel(self, job_id: str, reason: str) -> None:
        queue = self.services.queue
        before = await queue.job(job_id)
        try:
            job = await queue.cancel(job_id, reason)
        except (JobNotFound, InvalidTransition):
            raise Refusal(
                f"Failed to cancel job {job_id}. Job may not exist or is already in a terminal state."
            ) from None
        answer = self.dialect.cancelled(job, self.now)
        await self._in_turn(answer)
        if before is not None and before.state is JobState.CANCELLED and self._hears_of(job):
            await self._in_turn(answer)

    async def _retry(self, job_id: str) -> None:
        queue = self.services.queue
        try:
            job = await queue.retry(job_id)
        except JobNotFound:
            raise Refusal(f"Failed to force retry job {job_id}. Job does not exist.") from None
        except InvalidTransition:
            standing = await self._job(job_id)
            await self._in_turn(self.dialect.retried(standing, cleared=False, now=self.now))
            return
        self._told.pop(job_id, None)
        await self._in_turn(self.dialect.retried(job, cleared=True, now=self.now))

    async def _in_turn(self, frame: Any | None) -> None:
        """Answer after every event that happened before: who reads "completed" has had the completion already.

        Without an answer, only wait for those events.
        """
        newest = parse_id(await self.services.queue.last_event_id()) or (0, 0)
        await self.services.fanout.reached(newest, IN_TURN_SECONDS)
        reply = Reply(frame)
        self.subscriber.put(reply)
        await reply.sent.wait()  # ends with the session at the latest, which cancels it

    async def _job(self, job_id: str) -> Job:
        job = await self.services.queue.job(job_id)
        if job is None:
            raise Refusal(f"Job {job_id} not found")
        return job

    async def _tell_ending(self, job: Job) -> None:
        """A job that has ended already will say nothing more: tell the late-comer how it ended, once."""
        if job.ended_at is None or self._told.get(job.id, -1) >= job.ended_at:
            return
        ending: Any = self.dialect.ending(job)
        if ending is not None:
            self._has_told(job.id, job.ended_at)
            await self.connection.send(ending)

    async def _tell_ending_in_turn(self, job: Job) -> None:
        """The same for one who heard of the job before: its last events may still be coming, the ending among them."""
        if job.ended_at is not None:
            await self._in_turn(None)
            await self._tell_ending(job)

    def _has_told(self, job_id: str, ended_at: int) -> None:
        self._told.pop(job_id, None)
        self._told[job_id] = ended_at
        if len(self._told) > TOLD_KEPT:
            del self._told[next(iter(self._told))]

    async def _release(self, job_id: str) -> None:
        """Deliver what happened while the answer was on its way; nothing overtakes it."""
        held = self._held[job_id]
        while held:
            await self._send_event(held.pop(0))
        del self._held[job_id]

    def _hears_of(self, job: Job) -> bool:
        return job.id in self._followed or self._owns(job)

    def _owns(self, job: Job) -> bool:
        return self.dialect.follows_own_jobs and job.client_id == self.name

    def _follow(self, job_id: str) -> None:
        self.services.fanout.follow_job(self.subscriber, job_id)
        self._followed.pop(job_id, None)
        self._followed[job_id] = None
        if len(self._followed) > self.services.settings.subscriptions_per_connection:
            self._unfollow(next(iter(self._followed)))

    def _unfollow(self, job_id: str) -> None:
        self._followed.pop(job_id, None)
        self.services.fanout.leave_job(self.subscriber, job_id)
