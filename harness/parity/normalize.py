"""What two runs of the same thing may differ in: clocks, and the order of keys and of the lists that have none."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Final

import msgspec

from harness.cassettes.events import Event, Receive, Request, Send, content_of

_TIME_FIELD: Final = re.compile(
    r"(^|_)(timestamp|at|time|heartbeat|since)$|_timestamp|^(started|estimated_start)$", re.IGNORECASE
)
_CLOCK_IN_ID: Final = re.compile(r"^(stats|ack|worker-status)-\d{9,11}$")
_CLOCK_IN_TEXT: Final = re.compile(r"\b1[0-9]{9}\.\d+\b")

USER_DATA: Final = frozenset({"payload", "job_request_payload", "params", "result", "connector_details", "details"})
"""Fields whose inside belongs to the users: an added field there is a change."""

BY_ID: Final = frozenset({"active_jobs", "active_workers"})
UNORDERED: Final = BY_ID | {"clients", "workers", "monitors", "stats", "job_notifications"}
"""Lists of a `stats_broadcast` whose order the hub does not define: they are compared as sets, some item by item."""


def normalized(value: Any, name: str = "", span: Span | None = None) -> Any:
    """The value with its times told by their kind only: seconds stay apart from ms, text and absence, and a time that
    cannot be is told: one outside the span, and one that lies before an earlier stage of its job.
    """
    if isinstance(value, dict):
        if value.keys() == {"$elided"}:
            return _elided(value["$elided"])
        late = disordered(value)
        return {
            key: f"<time before {late[key]}>"
            if key in late
            else normalized(part, key, None if key in USER_DATA else span)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [normalized(part, name, span) for part in value]
    if _TIME_FIELD.search(name):
        return time_text(value, span)
    if isinstance(value, str) and (found := _CLOCK_IN_ID.match(value)):
        return f"<{found[1]}-seconds>"
    return int(value) if isinstance(value, float) and value.is_integer() else value


def normalized_frame(message: Any, span: Span | None = None) -> Any:
    """`normalized` for one frame. Pieces of a chunked message are cut at other places in every run: their text goes."""
    found = normalized(message, span=span)
    match found:
        case {"type": "chunked_message"}:
            found["content"] = "<piece>"
        case {"type": "stats_broadcast"}:
            return _ordered(found)
    return found


def _ordered(value: Any, name: str = "") -> Any:
    """The value with its lists without an order sorted; one whose items have ids becomes a table by id."""
    if isinstance(value, dict):
        return {key: _ordered(part, key) for key, part in value.items()}
    if isinstance(value, list) and name in BY_ID and all(isinstance(item, dict) and "id" in item for item in value):
        return {str(item["id"]): item for item in sorted(value, key=lambda item: str(item["id"]))}
    return sorted(value, key=str) if isinstance(value, list) and name in UNORDERED else value


def _elided(parts: dict[str, Any]) -> Any:
    starts = _CLOCK_IN_TEXT.sub("<time>", str(parts.get("starts", "")))
    return {"$elided": {**parts, "starts": starts}}


CLOCKS_DIFFER_S: Final = 30.0
"""How far the clock of a server may be from the one of who plays."""
ROUNDED_S: Final = 0.005
"""What two times of one record may differ in because one of them was rounded."""
STAGES: Final = (
    ("created_at", "submitted_at"),
    ("assigned_at", "claimed_at", "started_at"),
    ("completed_at", "failed_at", "cancelled_at", "ended_at"),
)
"""A job is submitted, claimed and ended, in that order."""
_ISO: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?$")
_NUMBER_TEXT: Final = re.compile(r"^\d{9,16}(\.\d+)?$")


class Span(msgspec.Struct, frozen=True):
    """When a message can have come about: from a run's beginning to the message's arrival, seconds since the epoch."""

    earliest_s: float
    latest_s: float
    given: frozenset[Any] = frozenset()
    """Times that actors sent themselves: a server that passes one on does not answer for it."""


def time_text(value: Any, span: Span | None = None) -> Any:
    """A time as its unit, and whether it lies outside the span; a value that is no time is left as it is."""
    found = moment_of(value)
    if found is None:
        return value
    unit, at_s = found
    if span is None or value in span.given:
        return f"<time {unit}>"
    if at_s < span.earliest_s - CLOCKS_DIFFER_S:
        return f"<time {unit}, before the run began>"
    return f"<time {unit}, later than it was received>" if at_s > span.latest_s + CLOCKS_DIFFER_S else f"<time {unit}>"


def moment_of(value: Any) -> tuple[str, float] | None:
    """The unit of a time and its seconds since the epoch; None for a value that is no time."""
    if isinstance(value, str):
        if _ISO.match(value):
            return "as ISO 8601 text", _iso_s(value)
        found = moment_of(float(value)) if _NUMBER_TEXT.match(value) else None
        return (f"{found[0]} as text", found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if 1e9 <= value < 1e11:
        return "in seconds", float(value)
    return ("in ms", value / 1000) if 1e12 <= value < 1e14 else None


def _iso_s(text: str) -> float:
    """Text without a zone is read as UTC; a day that no calendar has is before all others."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()


def disordered(record: Mapping[str, Any]) -> dict[str, str]:
    """The times of a job's record that lie before one of an earlier stage, each with that one's name."""
    found: dict[str, str] = {}
    before: tuple[str, float] | None = None
    for stage in STAGES:
        moments = [(name, moment[1]) for name in stage if (moment := moment_of(record.get(name))) is not None]
        if before is not None:
            found |= {name: before[0] for name, at_s in moments if at_s < before[1] - ROUNDED_S}
        before = max([*moments, *([before] if before else [])], key=lambda each: each[1], default=None)
    return found


class RunClock:
    """When a run's messages can have come about. Where nobody says when it began, most of its stamps agree on it."""

    def __init__(self, events: Sequence[Event], began_s: float | None = None) -> None:
        self._given = frozenset(_times_sent(events))
        stamps = [
            moment[1] - event.at / 1000
            for event in events
            if isinstance(event, Receive) and isinstance(event.content, dict)
            if (stamp := event.content.get("timestamp")) and (moment := moment_of(stamp)) and stamp not in self._given
        ]
        self._began_s = began_s or (median(stamps) if stamps else None)

    def span(self, at_ms: float) -> Span | None:
        """For a message that was received then; None where nothing tells when the run was."""
        return Span(self._began_s, self._began_s + at_ms / 1000, self._given) if self._began_s else None


def _times_sent(events: Sequence[Event]) -> Iterator[Any]:
    waiting = [content_of(event) for event in events if isinstance(event, Send | Request)]
    while waiting:
        match waiting.pop():
            case dict() as fields:
                waiting.extend(fields.values())
            case list() as items:
                waiting.extend(items)
            case value if moment_of(value) is not None:
                yield value
