"""A recording by a protocol of its own: what its clients ask for, and what they are told of their jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from harness.cassettes.events import Cassette, Close, Closed, Drop, Event, Open, Receive, Request, Response, Role, Send
from harness.protocols import ENDED_STATES, ENDS, EventKind, JobEvent, JobState
from harness.protocols.asked import Asked, asked_by_frame, asked_by_request
from harness.protocols.description import Described, at_place

WORK: Final = frozenset({EventKind.CLAIMED, EventKind.PROGRESS, EventKind.COMPLETED, EventKind.ATTEMPT_FAILED})
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
SUBMISSION: Final = frozenset({EventKind.ACCEPTED, EventKind.REFUSED})


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """An actor asks for something, or leaves (`asked` is None then)."""

    at: float
    actor: str
    asked: Asked | None = None
    job: str = ""
    """Whose it is: for a submission the id that answered it, empty where none did."""
    state: JobState | None = None
    """With a question how a job stands: what was answered."""


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """An actor is told something of a job: an event, or with `status` the answer to its question."""

    at: float
    actor: str
    event: JobEvent


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """What passed, in its order."""

    steps: tuple[Doing | Hearing, ...]
    unknown: Mapping[str, int]
    """What actors said for which the protocol has no word, and how often: `stay_alive of client-1`."""
    workers: tuple[str, ...]
    cut_off: tuple[str, ...]
    """Workers whose connection was cut while a job ran."""
    monitors: tuple[str, ...]

    @property
    def heard(self) -> Iterator[Hearing]:
        """All that was told, in its order."""
        return (step for step in self.steps if isinstance(step, Hearing))

    @property
    def doings(self) -> Iterator[Doing]:
        """All that was done, in its order."""
        return (step for step in self.steps if isinstance(step, Doing))

    @property
    def asked(self) -> frozenset[str]:
        """The actions that its clients ask for."""
        return frozenset(step.asked.action for step in self.doings if step.asked)

    @property
    def jobs(self) -> Iterator[str]:
        """Those that were submitted, in their order."""
        return (step.job for step in self.doings if step.asked and step.asked.action == "submit")

    @property
    def worked_on(self) -> frozenset[str]:
        """The jobs that a worker of the recording took."""
        return frozenset(step.event.job_id for step in self.heard if step.event.kind in WORK)

    def describe(self) -> str:
        """What was recognised, in a sentence."""
        asked = Counter(step.asked.action for step in self.doings if step.asked)
        told = Counter(step.event.kind.value for step in self.heard)
        known = [f"{count} {name}" for name, count in [*asked.items(), *told.items()]]
        unknown = [f"{count} {what}" for what, count in self.unknown.items()]
        rest = f"; not recognised: {', '.join(unknown)}" if unknown else ""
        return f"recognised: {', '.join(known) or 'nothing'}{rest}"


def conversation_of(cassette: Cassette, protocol: Described) -> Conversation:
    """Read a recording by its protocol."""
    reading = _Reading(protocol, cassette.roles)
    for event in cassette.events:
        reading.take(event)
    roles = cassette.roles.items()
    return Conversation(
        steps=tuple(reading.steps),
        unknown=dict(reading.unknown),
        workers=tuple(actor for actor, role in roles if role == Role.WORKER.value),
        cut_off=tuple(reading.cut_off),
        monitors=tuple(actor for actor, role in roles if role == Role.MONITOR.value),
    )


class _Reading:
    """What has been asked and not been answered yet, actor by actor."""

    def __init__(self, protocol: Described, roles: Mapping[str, str]) -> None:
        self.steps: list[Doing | Hearing] = []
        self.unknown: Counter[str] = Counter()
        self.cut_off: dict[str, None] = {}
        self._questions: dict[str, int] = {}
        """The place of the last question of each actor."""
        self._protocol, self._roles = protocol, roles
        self._submitting: dict[str, list[int]] = defaultdict(list)
        """The places of submissions that wait for their id."""
        self._asking: dict[str, Asked] = {}
        """What an actor's request, or its last question, was about."""
        self._cancelled: set[tuple[str, str]] = set()
        self._running: set[str] = set()

    def take(self, event: Event) -> None:
        """The next event."""
        if self._roles.get(event.actor) in {Role.WORKER.value, Role.MONITOR.value}:
            if isinstance(event, Drop) and self._roles[event.actor] == Role.WORKER.value and self._running:
                self.cut_off[event.actor] = None
            return
        match event:
            case Open(role=Role.SSE):
                self._does(event, asked_by_request(self._protocol.description, "GET", event.path, None), "stream")
            case Send():
                frame = event.content if isinstance(event.content, dict) else {}
                asked = asked_by_frame(self._protocol.description, frame)
                self._does(event, asked, f"`{frame.get('type', 'frame')}`")
            case Request():
                body = event.body if event.text is msgspec.UNSET else None
                asked = asked_by_request(self._protocol.description, event.method, event.path, body)
                self._does(event, asked, f"{event.method} {event.path}")
            case Response():
                self._answered(event)
            case Receive(message=message) if isinstance(message, dict):
                self._told(event, message)
            case Close() | Drop():
                self.steps.append(Doing(at=event.at, actor=event.actor))
            case Closed() | _:
                pass

    def _does(self, event: Event, asked: Asked | None, what: str) -> None:
        if asked is None:
            self._asking.pop(event.actor, None)
            self.unknown[f"{what} of {event.actor}"] += 1
            return
        if asked.action == "submit":
            self._submitting[event.actor].append(len(self.steps))
        elif asked.action == "ask":
            self._questions[event.actor] = len(self.steps)
        self._asking[event.actor] = asked
        job = "" if asked.action == "submit" else asked.job_id
        self.steps.append(Doing(at=event.at, actor=event.actor, asked=asked, job=job))

    def _answered(self, event: Response) -> None:
        """The answer to a request."""
        asked = self._asking.pop(event.actor, None)
        body = event.body if isinstance(event.body, dict) else {}
        if asked is None:
            return
        if asked.action == "submit":
            given = at_place(body, self._protocol.description.job_id)
            taken = event.status < BAD_REQUEST and given is not None
            self._submitted(event, EventKind.ACCEPTED if taken else EventKind.REFUSED, str(given) if taken else "")
        elif asked.action == "ask":
            status = self._protocol.status_of(body)
            state = JobState.UNKNOWN if event.status == NOT_FOUND else status and status.state
            self._status(event, asked.job_id, state or None, status and status.result)

    def _submitted(self, event: Event, kind: EventKind, given: str) -> None:
        if self._submitting[event.actor]:
            place = self._submitting[event.actor].pop(0)
            self.steps[place] = msgspec.structs.replace(self.steps[place], job=given)
        self._hears(event, JobEvent(kind=kind, job_id=given))

    def _status(self, event: Event, job_id: str, state: JobState | None, result: Any) -> None:
        if state is not None:
            place = self._questions.pop(event.actor)
            self.steps[place] = msgspec.structs.replace(self.steps[place], state=state)
            self._hears(event, JobEvent(kind=EventKind.STATUS, job_id=job_id, state=state, result=result))

    def _told(self, event: Receive, message: dict[str, Any]) -> None:
        """A frame, or an event of a stream."""
        frame, name, event_id = message, "", ""
        if self._roles.get(event.actor) == Role.SSE.value:
            data = message.get("data")
            frame = data if isinstance(data, dict) else {}
            name, event_id = str(message.get("event") or ""), str(message.get("id") or "")
        asked, status = self._asking.get(event.actor), self._protocol.status_of(frame)
        found = self._protocol.event_of(frame, name, event_id)
        if asked and asked.action == "ask" and status and status.job_id == asked.job_id:
            del self._asking[event.actor]
            self._status(event, asked.job_id, status.state, status.result)
        elif found is None:
            what = frame.get("type") or name
            self.unknown[f"{f'`{what}`' if what else 'frame'} to {event.actor}"] += 1
        elif found.kind in SUBMISSION:
            self._submitted(event, found.kind, found.job_id)
        elif found.kind in WORK | ENDS:
            self._hears(event, found)

    def _hears(self, event: Event, found: JobEvent) -> None:
        """A cancellation that is told twice, as a hub does, is one."""
        key = (event.actor, found.job_id)
        if found.kind is EventKind.CANCELLED:
            if key in self._cancelled:
                return
            self._cancelled.add(key)
        self.steps.append(Hearing(at=event.at, actor=event.actor, event=found))
        if found.kind in ENDS or found.state in ENDED_STATES:
            self._running.discard(found.job_id)
        elif found.kind in WORK:
            self._running.add(found.job_id)


def jobs_by(cassette: Cassette, protocol: Described) -> list[str | None]:
    """The job that each event is about, or None; a submission is about the job that answers it."""
    found: list[str | None] = []
    submitting: dict[str, list[int]] = defaultdict(list)
    asking: dict[str, str] = {}
    for place, event in enumerate(cassette.events):
        job: str | None = None
        if isinstance(event, Receive) and isinstance(event.content, dict):
            data = event.content.get("data") if cassette.roles[event.actor] == Role.SSE.value else event.content
            job = _named(data, protocol) or None
        elif isinstance(event, Response):
            job = _named(event.body, protocol) or asking.pop(event.actor, None)
        elif cassette.roles[event.actor] == Role.SSE.value:
            job = asking.get(event.actor)  # the end of a stream is about the job that it follows
        asked = _asked(event, protocol)
        if asked is not None and asked.action == "submit":
            submitting[event.actor].append(place)
        elif asked is not None:
            job = asking[event.actor] = asked.job_id
        found.append(job)
        answers = isinstance(event, Response) or (isinstance(event, Receive) and _accepts(event, protocol))
        if answers and job is not None and submitting[event.actor]:
            found[submitting[event.actor].pop(0)] = job
    return found


def _asked(event: Event, protocol: Described) -> Asked | None:
    if isinstance(event, Send) and isinstance(event.content, dict):
        return asked_by_frame(protocol.description, event.content)
    if isinstance(event, Request):
        return asked_by_request(protocol.description, event.method, event.path, event.body)
    if isinstance(event, Open) and event.role is Role.SSE:
        return asked_by_request(protocol.description, "GET", event.path, None)
    return None


def _named(content: Any, protocol: Described) -> str:
    places = [protocol.description.job_id, *([protocol.description.ask.job_id] if protocol.description.ask else [])]
    return next((str(found) for place in places if isinstance(found := at_place(content, place), str | int)), "")


def _accepts(event: Receive, protocol: Described) -> bool:
    found = protocol.event_of(event.content) if isinstance(event.content, dict) else None
    return found is not None and found.kind is EventKind.ACCEPTED
