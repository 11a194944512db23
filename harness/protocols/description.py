"""A hub or a stack told in one file: how each action is said, what each frame means, how a worker is started.

The file is TOML (`docs/your-own.md` has every part of it), read into `Description`; `Described` makes of it what every
protocol has (see `Protocol`). What a table cannot say, a subclass of `Described` does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from harness.protocols.events import EventKind, HttpRequest, JobEvent, JobState, JobStatus, Submission
from harness.protocols.script import sent_at

LEFT_OUT: Final = object()
FIELDS: Final = ("worker_id", "progress", "status", "message", "error", "details", "result")
"""What an event may have beside its job: as a rule under the same name in the frame."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file. A word that is not known is refused: it would be a typing mistake that nobody notices."""


class Action(Part, frozen=True, kw_only=True):
    """One thing that a client asks for: a frame to `send`, or a `request` ("POST /api/jobs") with its `body`.

    `{service}`, `{payload}`, `{priority}`, `{job_id}`, `{reason}`, `{client}`, `{number}` (of the message), `{now}`
    and `{now_ms}` are filled in; a field whose value is not known is left out.
    """

    send: dict[str, Any] | None = None
    request: str = ""
    body: Any = None


class Ask(Action, frozen=True, kw_only=True):
    """How a job's state is asked for, where it stands in the answer, and which frames are such an answer."""

    answer: dict[str, Any] = {}
    state: str = "status"
    job_id: str = "job_id"
    worker_id: str = "worker_id"
    result: str = "result"


class Rule(Part, frozen=True, kw_only=True):
    """Which frames mean one thing. `when` has values by the place where they stand ("data.status"); a list is any of
    them. `fields` says where else the event's fields stand in these frames.
    """

    kind: EventKind
    when: dict[str, Any]
    fields: dict[str, str] = {}


class Times(Part, frozen=True, kw_only=True):
    """Where the time of an event stands, and in what."""

    at: str = "timestamp"
    unit: Literal["s", "ms", "iso"] = "s"


class Worker(Part, frozen=True, kw_only=True):
    """How one worker is started. `{url}`, `{ws_url}`, `{redis}`, `{prefix}`, `{token}`, `{worker_id}`, `{services}`,
    `{python}` and `{here}` (this file's folder) are filled in. `payload` is what a job carries whose worker shall play
    `{script}`.
    """

    command: list[str]
    environment: dict[str, str] = {}
    ready: str = ""
    """A text in its output that says that it waits for work."""
    starts_within_s: float = 60.0
    payload: dict[str, Any] = msgspec.field(default_factory=lambda: {"simulate": "{script}"})
    lost_within_s: float = 60.0
    """So long after a worker was killed its job runs again, at the latest."""

    @property
    def keeps_to_services(self) -> bool:
        """Whether it can be told to take the jobs of this run alone."""
        return self.needs("{services}")

    def needs(self, name: str) -> bool:
        """Whether that `{name}` is filled in where it is started."""
        return any(name in text for text in (*self.command, *self.environment.values()))


class Description(Part, frozen=True, kw_only=True):
    """One hub or stack."""

    name: str
    about: str = ""
    socket: str = ""
    """The path at which a client's WebSocket is opened, with `{client}`; empty where it has none."""
    token: str = ""
    """The query parameter of the token at that path; requests carry it as a bearer token."""
    health: str = "/"
    serves: str = ""
    """The protocol of the hub's clients, where they can speak to it as they do to their hub."""
    submit: Action
    job_id: str = "job_id"
    """Where the id stands in every frame, and in the answer to a submission over HTTP."""
    ask: Ask | None = None
    cancel: Action | None = None
    retry: Action | None = None
    follow: Action | None = None
    """How a client is told of a job; who submitted it does so as well, unless it is `told` without asking."""
    told: bool = False
    events: list[Rule]
    fields: dict[str, str] = {}
    times: Times = Times()
    states: dict[str, list[str]] = {}
    """Its words for our states, where they are not the same."""
    worker: Worker | None = None
    redis_state: list[str] = []
    """The Redis command that reads a job's state, with `{job_id}` and `{prefix}`."""


class Described:
    """A client's side of the protocol that a description tells of. `hub` and `stack` have the same functions.

    An action is answered as what has to be sent: a frame (a dict, over WebSocket) or an `HttpRequest`. `at` is the
    client's clock, in seconds, for protocols whose messages carry it.
    """

    def __init__(self, description: Description, here: Path | None = None) -> None:
        self.description: Final = description
        self.here: Final = here
        """The folder of its file."""
        self._states = {word: JobState(state) for state, words in description.states.items() for word in words}
        self._number = 0

    @property
    def name(self) -> str:
        """As it is called in messages."""
        return self.description.name

    @property
    def tells(self) -> frozenset[EventKind]:
        """What a client of it can be told of a job."""
        return frozenset(rule.kind for rule in self.description.events)

    # what a client asks for

    def submit(self, job: Submission, client_id: str = "", at: float | None = None) -> Any:
        """Submit a job."""
        payload = {} if job.payload is None else job.payload
        known = {"service": job.service, "payload": payload, "priority": job.priority, "job_id": job.job_id}
        return self._said(self.description.submit, at, client=client_id or None, **known)

    def ask(self, job_id: str, at: float | None = None) -> Any:
        """Ask how a job stands; None where it cannot be asked."""
        return self._said(self.description.ask, at, job_id=job_id)

    def cancel(self, job_id: str, reason: str | None = None, at: float | None = None) -> Any:
        """Cancel a job; None where it knows no such thing."""
        return self._said(self.description.cancel, at, job_id=job_id, reason=reason)

    def retry(self, job_id: str, at: float | None = None) -> Any:
        """Have an ended job run again; None where it knows no such thing."""
        return self._said(self.description.retry, at, job_id=job_id)

    def subscribe(self, job_id: str, at: float | None = None) -> Any:
        """Follow a job's events; None where nothing has to be asked for."""
        return self._said(self.description.follow, at, job_id=job_id)

    def _said(self, action: Action | None, at: float | None, **known: Any) -> Any:
        if action is None:
            return None
        self._number += 1
        now = at or dt.datetime.now(dt.UTC).timestamp()
        known |= {"number": self._number, "now": now, "now_ms": round(now * 1000)}
        if action.send is not None:
            return filled(action.send, known)
        method, _, path = action.request.partition(" ")
        in_path = {name: quote(str(value), safe="") for name, value in known.items()}
        return HttpRequest(method, filled(path, in_path), filled(action.body, known))

    # what is received

    def event_of(self, message: Mapping[str, Any], name: str = "", event_id: str = "") -> JobEvent | None:
        """What happened to a job, by this message; None where it is about something else.

        `name` and `event_id` are those of a server-sent event; a rule may ask for the name as `(name)`.
        """
        frame = {**message, "(name)": name}
        rule = next((rule for rule in self.description.events if matches(frame, rule.when)), None)
        if rule is None:
            return None
        places = {**self.description.fields, **rule.fields}
        job_id = at_place(frame, places.get("job_id", self.description.job_id))
        if not isinstance(job_id, str | int):
            return None
        found = {field: at_place(frame, places.get(field, field)) for field in FIELDS}
        found["progress"] = _number(found["progress"]) if rule.kind is EventKind.PROGRESS else None
        texts = {field: None if found[field] is None else str(found[field]) for field in ("worker_id", "error")}
        return JobEvent(
            kind=rule.kind,
            job_id=str(job_id),
            at=self._time(at_place(frame, self.description.times.at)),
            sent_at=sent_at(found["details"]),
            event_id=event_id,
            **(found | texts),
        )

    def status_of(self, message: Mapping[str, Any]) -> JobStatus | None:
        """The job's state, where the message answers `ask`."""
        ask = self.description.ask
        if ask is None or not matches(message, ask.answer):
            return None
        word, job_id = at_place(message, ask.state), at_place(message, ask.job_id)
        state = self._states.get(str(word)) or next((state for state in JobState if state.value == word), None)
        if state is None:
            return None
        worker = at_place(message, ask.worker_id)
        return JobStatus(
            job_id="" if job_id is None else str(job_id),
            state=state,
            worker_id=None if worker is None else str(worker),
            result=at_place(message, ask.result),
        )

    def _time(self, value: Any) -> float | None:
        unit = self.description.times.unit
        if unit == "iso" and isinstance(value, str):
            try:
                return dt.datetime.fromisoformat(value).timestamp()
            except ValueError:
                return None
        number = _number(value)
        return None if number is None else number / (1000 if unit == "ms" else 1)


def filled(template: Any, known: Mapping[str, Any]) -> Any:
    """The template with its `{names}` filled in; `{name}` alone keeps the value's type, and None leaves it out."""
    if isinstance(template, dict):
        parts = {key: filled(part, known) for key, part in template.items()}
        return {key: part for key, part in parts.items() if part is not LEFT_OUT}
    if isinstance(template, list):
        return [part for part in (filled(part, known) for part in template) if part is not LEFT_OUT]
    if not isinstance(template, str):
        return template
    if template[:1] == "{" and template[-1:] == "}" and template[1:-1] in known:
        value = known[template[1:-1]]
        return LEFT_OUT if value is None else value
    for name, value in known.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template


def at_place(message: Any, place: str) -> Any:
    """What stands there, by dotted path; None where nothing does."""
    for part in place.split("."):
        message = message.get(part) if isinstance(message, Mapping) else None
    return message


def matches(message: Mapping[str, Any], when: Mapping[str, Any]) -> bool:
    """Whether every place has its value, or one of its values."""
    found = ((at_place(message, place), wanted) for place, wanted in when.items())
    return all(value in wanted if isinstance(wanted, list) else value == wanted for value, wanted in found)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
