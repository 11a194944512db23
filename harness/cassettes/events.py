"""What a cassette holds: a header and events, one JSON object a line (docs/scenarios.md describes the format)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import CouldNotRun

VERSION: Final = 1
HTTP_ACTOR: Final = "http"
BLANKED: Final = "BLANKED"
"""Stands in a recording where a secret stood."""


class CassetteError(CouldNotRun):
    """Something is wrong with a cassette. The text begins with `file:line:`."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class Role(StrEnum):
    """What an actor with a connection of its own is to the server."""

    CLIENT = "client"
    WORKER = "worker"
    MONITOR = "monitor"
    SSE = "sse"
    """A reader of server-sent events; each is a `receive` whose message has `id`, `event` and `data`."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: the format's version, and what was recorded, of what, when."""

    cassette: int
    scenario: str
    about: str = ""
    target: str = ""
    recorded: str = ""


class _Event(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="event", omit_defaults=True
):
    """What every event has: `at`, ms since the recording began, and whose it is."""

    at: float
    actor: str


class Open(_Event, frozen=True, tag="open"):
    """The actor connects. The path may carry a query (`?token=`)."""

    role: Role
    path: str
    headers: dict[str, str] = {}
    """Only those that change the answer; secrets in them are blanked."""


class _Frame(_Event, frozen=True):
    """One WebSocket frame: `message` where it was a JSON object, else `text`. A binary one is its bytes literal."""

    message: Any = msgspec.UNSET
    text: Any = msgspec.UNSET

    @property
    def content(self) -> Any:
        """The message, or the text where there is none."""
        return self.text if self.message is msgspec.UNSET else self.message


class Send(_Frame, frozen=True, tag="send"):
    """The actor sends a frame."""


class Receive(_Frame, frozen=True, tag="receive"):
    """The actor receives a frame."""


class Close(_Event, frozen=True, tag="close"):
    """The actor closes its connection in order."""

    code: int = 1000


class Drop(_Event, frozen=True, tag="drop"):
    """The actor's connection is cut with no closing handshake."""


class Closed(_Event, frozen=True, tag="closed"):
    """The actor's connection has ended."""

    code: int
    reason: str = ""


class Request(_Event, frozen=True, tag="request"):
    """An HTTP request. `text` stands for a body that was no JSON."""

    method: str
    path: str
    headers: dict[str, str] = {}
    body: Any = None
    text: Any = msgspec.UNSET


class Response(_Event, frozen=True, tag="response"):
    """The answer to the actor's last request."""

    status: int
    body: Any = None
    text: Any = msgspec.UNSET


class Note(_Event, frozen=True, tag="note"):
    """A remark of who recorded: a deliberate wait, a thing that did not come."""

    text: str


Event = Open | Send | Receive | Close | Drop | Closed | Request | Response | Note
Outgoing = Open | Send | Close | Drop | Request
"""What an actor does."""
Incoming = Receive | Closed | Response
"""What happens to an actor."""

INCOMING: Final = (Receive, Closed, Response)


class Cassette(msgspec.Struct, frozen=True, kw_only=True):
    """A recording of all that passed between some actors and one server."""

    header: Header
    events: tuple[Event, ...]

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.header.scenario

    @property
    def roles(self) -> dict[str, str]:
        """Each actor's role; one that makes requests has the role `http`."""
        found: dict[str, str] = {}
        for event in self.events:
            if isinstance(event, Open):
                found.setdefault(event.actor, event.role.value)
            elif isinstance(event, Request):
                found.setdefault(event.actor, HTTP_ACTOR)
        return found


def kind_of(event: Event) -> str:
    """The event's word in the file: `open`, `send`, …"""
    return str(event.__struct_config__.tag)


def content_of(event: Event) -> Any:
    """What is said by it: a message or a text, the body of a request or of an answer; None where nothing is."""
    if isinstance(event, Send | Receive):
        return event.content
    return event.body if isinstance(event, Request | Response) else None


def fields_of(event: Event) -> dict[str, Any]:
    """The same as fields; none where it is no object."""
    content = content_of(event)
    return content if isinstance(content, dict) else {}


def told_by(event: Event) -> Any:
    """What a party is told: a message's content, or the body of an answer."""
    return content_of(event) if isinstance(event, Receive | Response) else None


def saying(event: Event, content: Any) -> Event:
    """The event with that in the place of what it says."""
    if isinstance(event, Send | Receive):
        return msgspec.structs.replace(event, **{"text" if event.message is msgspec.UNSET else "message": content})
    return msgspec.structs.replace(event, body=content) if isinstance(event, Request | Response) else event
