"""Clients without I/O: a session returns what has to be sent, and takes what was received.

Each session remembers what its client asked for, since an answer on the wire looks like an update or does not name its
question. Everything that it asks for or receives goes to `observe`, in order, as one `JobEvent`:

    submit → accepted and subscribed, or refused · cancel → cancel_accepted · ask → status (with `state`)
    refused without a job's id: an error that answers something else
    subscribed / unsubscribed: from here on updates are owed, or no longer · all other kinds: an update · gap

asyncio clients (`harness.clients`) and gevent clients (`loadtests.clients`) are shells around these.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from harness.protocols import (
    ENDS,
    EventKind,
    HttpRequest,
    JobEvent,
    JobState,
    JobStatus,
    Mode,
    Submission,
    hub,
    stack,
)
from harness.protocols.hub import Frame
from harness.protocols.sse import SseEvent, SseParser

Observe = Callable[[JobEvent], None]
Clock = Callable[[], float]
"""Seconds since the epoch."""

ANOTHER_QUESTION: Final = re.compile(
    r"^(Job .* not found|Failed to (cancel|force retry) job|Missing job_id)", re.DOTALL
)
"""Errors that answer something else than a submission."""
NOT_NOW: Final = "Server error processing message"
"""How the error begins that may answer anything: Redis was away, say."""


def ignore(event: JobEvent) -> None:
    """An observer that looks at nothing."""


class HubSession:
    """One client or monitor of the legacy dialect, over any number of connections under its name."""

    def __init__(self, name: str, *, role: str = "client", observe: Observe = ignore, clock: Clock = time.time) -> None:
        self.name: Final = name
        self.path: Final = hub.path_of(role, name)
        self._observe = observe
        self._clock = clock
        self._submitted: list[tuple[float, Submission]] = []
        """Submissions without an answer, in the order they were sent: answers come in that order."""
        self._cancels: Counter[str] = Counter()
        """How many frames that say "cancelled" are answers to it."""
        self._cancelling: set[str] = set()
        """What it cancelled on this connection."""
        self._open: list[tuple[EventKind | None, str]] = []
        """What it asked for and has no answer to, oldest first: questions are answered in their order."""
        self._followed: dict[str, None] = {}
        """Jobs whose updates are owed to it, as far as it knows that they have not ended."""

    # what it asks for: each answers the frame to send

    def submit(self, job: Submission) -> Frame:
        """Submit a job."""
        now = self._clock()
        self._submitted.append((now, job))
        self._open.append((EventKind.SUBMIT, job.job_id or ""))
        if job.job_id is not None:
            self._observe(_submit_event(job, job.job_id, now))
        return hub.submit(job, at=now)

    def ask(self, job_id: str) -> Frame:
        """Ask how a job stands; the answer is observed as `status`."""
        self._open.append((EventKind.STATUS, job_id))
        return hub.ask(job_id, self._clock())

    def cancel(self, job_id: str, reason: str | None = None) -> Frame:
        """Cancel a job."""
        now = self._clock()
        # Cancelling again is answered the same, the subscriber's notice included: neither is a second end.
        self._cancels[job_id] += 2 if job_id in self._cancelling else 1
        self._cancelling.add(job_id)
        self._open.append((EventKind.CANCEL, job_id))
        self._observe(JobEvent(kind=EventKind.CANCEL, job_id=job_id, at=now))
        return hub.cancel(job_id, reason, now)

    def retry(self, job_id: str) -> Frame:
        """Have a job run again."""
        self._open.append((None, job_id))
        return hub.retry(job_id, self._clock())

    def subscribe(self, job_id: str) -> Frame:
        """Follow a job that somebody else submitted."""
        self._open.append((EventKind.SUBSCRIBED, job_id))
        return hub.subscribe(job_id, self._clock())

    # its connections

    def reconnected(self) -> list[Frame]:
        """What has to be sent on a new connection: it asks again for what it followed or had no answer about."""
        unanswered = [job.job_id for _, job in self._submitted if job.job_id is not None]
        self._submitted.clear()
        job_ids = dict.fromkeys([*self._followed, *unanswered])
        return [frame for job_id in job_ids for frame in (self.subscribe(job_id), self.ask(job_id))]

    def disconnected(self) -> None:
        """The connection is gone: nothing is owed any more until the next one."""
        self._open.clear()
        self._cancels.clear()
        self._cancelling.clear()
        for job_id in self._followed:
            self._observe(JobEvent(kind=EventKind.UNSUBSCRIBED, job_id=job_id, at=self._clock()))

    # what it receives

    def receive(self, data: str | bytes) -> Frame | None:
        """Take one frame. Answers it as an object, or None where it is none."""
        frame = hub.parsed(data)
        if frame is not None:
            self.receive_frame(frame)
        return frame

    def receive_frame(self, frame: Frame) -> None:
        """Take one frame that was parsed."""
        status = hub.status_of(frame)
        if status is not None and (EventKind.STATUS, status.job_id) in self._open:
            self._answered(EventKind.STATUS, status.job_id)
            if status.end is not None:
                self._followed.pop(status.job_id, None)
            self._observe(_status_event(status))
        elif (error := hub.error_of(frame)) is not None:
            self._refused(error)
        elif (event := hub.event_of(frame)) is not None:
            self._update(event)

    def _refused(self, error: str) -> None:
        """An error does not name the submission that it answers: it is the oldest one without an answer."""
        if error.startswith(NOT_NOW) and self._open and self._open[0][0] is not EventKind.SUBMIT:
            self._not_now(*self._open.pop(0))
            self._observe(JobEvent(kind=EventKind.REFUSED, error=error))
        elif self._submitted and not ANOTHER_QUESTION.match(error):
            _, job = self._submitted.pop(0)
            self._answered(EventKind.SUBMIT, job.job_id or "")
            self._observe(JobEvent(kind=EventKind.REFUSED, job_id=job.job_id or "", error=error))
        else:
            self._observe(JobEvent(kind=EventKind.REFUSED, error=error))

    def _not_now(self, kind: EventKind | None, job_id: str) -> None:
        """A question was not served: of one for a cancellation, what is told later is no answer."""
        if kind is EventKind.CANCEL:
            self._cancels[job_id] = 0
            self._cancelling.discard(job_id)

    def _answered(self, kind: EventKind, job_id: str) -> None:
        """The oldest such question is answered, and so are the retries before it, whose answers name nothing."""
        if (kind, job_id) in self._open:
            at = self._open.index((kind, job_id))
            self._open[: at + 1] = [one for one in self._open[:at] if one[0] is not None]

    def _update(self, event: JobEvent) -> None:
        job_id = event.job_id
        if event.kind is EventKind.ACCEPTED:
            self._accepted(event)
            return
        if event.kind is EventKind.CANCELLED and self._cancels[job_id]:
            # The hub answers the one who asked and notifies the subscriber: a submitter who cancels gets both.
            self._cancels[job_id] -= 1
            self._answered(EventKind.CANCEL, job_id)
            event = msgspec.structs.replace(event, kind=EventKind.CANCEL_ACCEPTED)
        elif event.kind is EventKind.SUBSCRIBED:
            event = msgspec.structs.replace(event, mode=Mode.LIVE)
            self._answered(EventKind.SUBSCRIBED, job_id)
            self._followed[job_id] = None
        elif event.kind in ENDS:
            self._followed.pop(job_id, None)
        self._observe(event)

    def _accepted(self, event: JobEvent) -> None:
        """Submissions are answered in their order; one that named its id is known by it."""
        named = next((one for one in self._submitted if one[1].job_id == event.job_id), None)
        unnamed = next((one for one in self._submitted if one[1].job_id is None), None)
        if (answered := named or unnamed) is not None:
            sent_at, job = answered
            self._submitted.remove(answered)
            self._answered(EventKind.SUBMIT, job.job_id or "")
            if job.job_id is None:
                self._observe(_submit_event(job, event.job_id, sent_at))
            event = msgspec.structs.replace(event, service=job.service, priority=job.priority)
        self._followed[event.job_id] = None
        self._observe(event)
        self._observe(JobEvent(kind=EventKind.SUBSCRIBED, job_id=event.job_id, at=event.at, mode=Mode.WHOLE))


class StackSession:
    """One client of the stack: it returns what to request, and takes the answers and its streams' events."""

    def __init__(
        self, name: str, *, token: str | None = None, observe: Observe = ignore, clock: Clock = time.time
    ) -> None:
        self.name: Final = name
        self.headers: Final = stack.authorization(token)
        """Of every request."""
        self._observe = observe
        self._clock = clock

    def submit(self, job: Submission) -> HttpRequest:
        """Submit a job. One that names its id may be sent again until it is answered: the id makes that harmless."""
        if job.job_id is not None:
            self._observe(_submit_event(job, job.job_id, self._clock()))
        return stack.submit(job, self.name)

    def submitted(self, job: Submission, status: int, body: Mapping[str, Any]) -> str | None:
        """Take the answer to a submission: the job's id, or None where it was refused."""
        if not 200 <= status < 300:
            why = stack.complaint(status, body)
            self._observe(JobEvent(kind=EventKind.REFUSED, job_id=job.job_id or "", error=why))
            return None
        job_id = str(body["job_id"])
        if job.job_id is None:
            self._observe(_submit_event(job, job_id, self._clock()))
        accepted = JobEvent(kind=EventKind.ACCEPTED, job_id=job_id, service=job.service, priority=job.priority)
        self._observe(accepted)
        return job_id

    def ask(self, job_id: str) -> HttpRequest:
        """Ask how a job stands."""
        return stack.ask(job_id)

    def answered(self, job_id: str, status: int, body: Mapping[str, Any]) -> JobState | None:
        """Take the answer to `ask`: the job's state, or None where the answer has none."""
        found = stack.status_of(body) if status == 200 else None
        if status == stack.NOT_FOUND:
            found = JobStatus(job_id=job_id, state=JobState.UNKNOWN)
        if found is None:
            return None
        self._observe(_status_event(msgspec.structs.replace(found, job_id=job_id)))
        return found.state

    def cancel(self, job_id: str, reason: str | None = None) -> HttpRequest:
        """Cancel a job."""
        self._observe(JobEvent(kind=EventKind.CANCEL, job_id=job_id, at=self._clock()))
        return stack.cancel(job_id, reason)

    def cancelled(self, job_id: str) -> None:
        """The cancellation was answered with yes."""
        self._observe(JobEvent(kind=EventKind.CANCEL_ACCEPTED, job_id=job_id))

    def retry(self, job_id: str) -> HttpRequest:
        """Have an ended job run again."""
        return stack.retry(job_id)

    def follow(self, job_id: str, last_id: str = "") -> StackStream:
        """The stream of one job, from its first event or from the one behind `last_id`."""
        if not last_id:
            self._observe(JobEvent(kind=EventKind.SUBSCRIBED, job_id=job_id, at=self._clock(), mode=Mode.WHOLE))
        return StackStream(stack.subscribe(job_id).path, self.headers, self._observe, job_id=job_id, last_id=last_id)

    def follow_all(self, last_id: str = "") -> StackStream:
        """The stream of all jobs."""
        return StackStream(stack.EVENTS, self.headers, self._observe, last_id=last_id)


class StackStream:
    """One stream of events over any number of connections: it is taken up behind the last event that came."""

    def __init__(
        self, path: str, headers: Mapping[str, str], observe: Observe, *, job_id: str = "", last_id: str = ""
    ) -> None:
        self.path: Final = path
        self.job_id: Final = job_id
        self.parser: Final = SseParser(last_id)
        self.ended = False
        """Whether the job has ended: then the stream has nothing more."""
        self._headers = dict(headers)
        self._observe = observe

    def connect(self) -> dict[str, str]:
        """The headers of the next connection."""
        self.parser.reconnected()
        return {**self._headers, "Accept": "text/event-stream", **self.parser.resume}

    def receive(self, event: SseEvent) -> JobEvent | None:
        """Take one event; answers what happened to a job, or that there is a gap."""
        data = event.json()
        found = stack.event_of(data, event.event, event.id) if isinstance(data, dict) else None
        if found is not None:
            if found.kind is EventKind.GAP and not found.job_id:
                found = msgspec.structs.replace(found, job_id=self.job_id)
            self.ended = self.ended or (bool(self.job_id) and found.kind in ENDS)
            self._observe(found)
        return found


def _submit_event(job: Submission, job_id: str, at: float) -> JobEvent:
    return JobEvent(
        kind=EventKind.SUBMIT, job_id=job_id, at=at, service=job.service, priority=job.priority, details=job.payload
    )


def _status_event(status: JobStatus) -> JobEvent:
    return JobEvent(
        kind=EventKind.STATUS,
        job_id=status.job_id,
        state=status.state,
        worker_id=status.worker_id,
        result=status.result,
    )
