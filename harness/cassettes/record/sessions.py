"""Where recorded events go: one cassette for each session, and with `per job` one for each job of it; and what its
actors are called.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from harness.cassettes import (
    Cassette,
    CassetteWriter,
    Event,
    Header,
    Open,
    Receive,
    Request,
    Response,
    Role,
    Send,
    load,
    save,
)

FORMAT: Final = 1
log = logging.getLogger(__name__)


class Per(StrEnum):
    """What one cassette holds."""

    SESSION = "session"
    """All that passes from the first connection until nobody is connected any more."""
    JOB = "job"
    """One job: the actors that had to do with it, and of their messages those about it."""


class Sessions:
    """Writes events as they happen. `out` names the first cassette; later ones get a number."""

    def __init__(  # noqa: PLR0913 - what a recording is made of
        self,
        out: Path,
        *,
        per: Per = Per.SESSION,
        about: str = "",
        target: str = "hub",
        today: str = "",
        jobs: Callable[[Cassette], Sequence[str | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[str], None] = log.error,
    ) -> None:
        """`jobs` says which job each event is about, where words are not the hub's. `on_failure` is told once why
        nothing more is recorded.
        """
        self._jobs = jobs or (lambda whole: jobs_of(whole.events))
        self._out, self._per, self._about, self._target, self._today = out, per, about, target, today
        self._clock, self._on_failure = clock, on_failure
        self._broken_off = False
        self._writer: CassetteWriter | None = None
        self._began = 0.0
        self._open: set[object] = set()
        self.written: list[Path] = []

    def begin(self, activity: object) -> None:
        """Something goes on (a connection, a request): the session lasts at least until it has ended."""
        if self._writer is None:
            path = numbered(self._out, len(self.written) + 1)
            scenario = path.stem
            header = Header(
                cassette=FORMAT, scenario=scenario, about=self._about, target=self._target, recorded=self._today
            )
            self._writer = CassetteWriter(path, header)
            self.written.append(path)
            self._began = self._clock()
        self._open.add(activity)

    def apart(self, do: Callable[[], None]) -> None:
        """Do something that records. Where it fails, the recording ends, which is told, and the traffic goes on."""
        if self._broken_off:
            return
        try:
            do()
        except Exception as error:  # noqa: BLE001 - whatever it is, clients must not feel it
            self._broken_off = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._on_failure(f"{self._out}: {getattr(error, 'strerror', None) or repr(error)}")

    @property
    def is_open(self) -> bool:
        """Whether a session is under way."""
        return self._writer is not None

    def now_ms(self) -> float:
        """ms since the session began."""
        return round((self._clock() - self._began) * 1000, 1)

    def put(self, event: Event) -> None:
        """Record an event."""
        if self._writer is not None:
            self._writer.write(event)

    def end(self, activity: object) -> None:
        """It has ended; with the last one the session ends and its cassette is complete."""
        self._open.discard(activity)
        if not self._open and self._writer is not None:
            self._writer.close()
            path, self._writer = self._writer.path, None
            if self._per is Per.JOB:
                self._split(path)

    def _split(self, path: Path) -> None:
        whole = load(path)
        for number, part in enumerate(by_job(whole, self._jobs(whole)), start=1):
            name = path.with_name(f"{path.stem}-job-{number}{path.suffix}")
            save(msgspec.structs.replace(part, header=msgspec.structs.replace(part.header, scenario=name.stem)), name)
            self.written.append(name)


def numbered(path: Path, number: int) -> Path:
    """The first file as it was named, later ones with a number before the suffix."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def by_job(cassette: Cassette, jobs: Sequence[str | None]) -> list[Cassette]:
    """A cassette for each job, in the order in which they were submitted: the actors that had to do with the job,
    whole connections of them, without their messages about other jobs. `jobs` says which job each event is about.
    """
    order = list(dict.fromkeys(job for job in jobs if job is not None))
    return [msgspec.structs.replace(cassette, events=_of_job(cassette.events, jobs, job)) for job in order]


def _of_job(events: Sequence[Event], jobs: Sequence[str | None], job: str) -> tuple[Event, ...]:
    actors = {event.actor for event, about in zip(events, jobs, strict=True) if about == job}
    return tuple(
        event
        for event, about in zip(events, jobs, strict=True)
        if event.actor in actors and (about == job or (about is None and not isinstance(event, Request | Response)))
    )


def jobs_of(events: Sequence[Event]) -> list[str | None]:
    """The job that each event is about, or None. A submission is about the job that its answer names."""
    found: list[str | None] = []
    submitting: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        content = _content(event)
        job = content.get("job_id") if isinstance(content, dict) else None
        found.append(job if isinstance(job, str) else None)
        if isinstance(event, Send | Request) and found[-1] is None:
            if isinstance(event, Request) or _type(content) == "submit_job":
                submitting.setdefault(event.actor, []).append(place)
        elif isinstance(event, Response) or (isinstance(event, Receive) and _type(content) == "job_accepted"):
            for waiting in submitting.pop(event.actor, [])[:1]:
                found[waiting] = found[-1]
    return found


def _content(event: Event) -> Any:
    if isinstance(event, Send | Receive):
        return event.content
    if isinstance(event, Request):
        parts = event.path.partition("?")[0].split("/")
        in_path = {"job_id": parts[3]} if parts[1:3] == ["api", "jobs"] and len(parts) > 3 else {}
        return {**(event.body if isinstance(event.body, dict) else {}), **in_path}
    if isinstance(event, Open):
        return {}
    return event.body if isinstance(event, Response) else None


def _type(content: Any) -> Any:
    return content.get("type") if isinstance(content, dict) else None


def role_and_name(path_and_query: str) -> tuple[Role, str]:
    """Role and name of who connects to a WebSocket: by its path (`/ws/worker/w-1`), or by its query (`/?type=worker&
    id=w-1`, as tools of later times do). Anything else is a client without a name.
    """
    path, _, query = path_and_query.partition("?")
    parts = [unquote(part) for part in path.strip("/").split("/")]
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    if len(parts) == 3 and parts[0] == "ws" and parts[2]:
        role, name = parts[1], parts[2]
    else:
        role, name = asked.get("type", ""), asked.get("id") or asked.get("type", "")
    return (Role(role), name) if role in {"client", "worker", "monitor"} else (Role.CLIENT, "client")


class Names:
    """Gives names out so that no two actors have one at a time: a second `http` is `http-2`."""

    def __init__(self) -> None:
        self._in_use: set[str] = set()

    @contextmanager
    def taken(self, wish: str) -> Iterator[str]:
        """A name for the time of the context."""
        name, number = wish, 1
        while name in self._in_use:
            number += 1
            name = f"{wish}-{number}"
        self._in_use.add(name)
        try:
            yield name
        finally:
            self._in_use.discard(name)
