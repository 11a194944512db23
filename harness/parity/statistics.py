"""Statistics that a clock sends to monitors. How many come is chance; their schema is not, nor is what they say once
nothing has happened for a while.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from harness.cassettes.events import Event, Outgoing, Receive, fields_of
from harness.cassettes.timers import STATS, timer_frames
from harness.parity.findings import ABSENT, FieldDifference, differences
from harness.parity.frames import ReceivedFrame, StreamKey, by_connection, frame_of
from harness.parity.normalize import USER_DATA, RunClock

SETTLED_MS: Final = 1_200.0
"""Statistics are sent once a second when something has changed: later ones tell what has become of it."""
TABLES: Final = frozenset(
    {"workers", "subscriptions.jobs", "system.jobs.status", "system.workers.status"}
    | {"system.jobs.active_jobs", "system.workers.active_workers"}
)
"""Objects whose keys are ids or states: what they hold has one schema."""
OWN: Final = USER_DATA | {"capabilities"}
"""Objects that belong to users and workers: what stands in them is theirs."""
_ANY: Final = "*"


class Schema:
    """The fields of some messages by their paths: which kinds of values each had, and whether it always was there."""

    def __init__(self) -> None:
        self.kinds: dict[str, set[str]] = defaultdict(set)
        self._parents: dict[str, str] = {}
        self._seen: Counter[str] = Counter()

    def add(self, value: Any, path: str = "") -> None:
        """Take in one more message."""
        self.kinds[path].add(_kind(value))
        self._seen[path] += 1
        for name, part in value.items() if isinstance(value, dict) and path.rpartition(".")[2] not in OWN else ():
            child = f"{path}.{_ANY if path in TABLES else name}".removeprefix(".")
            self._parents[child] = path
            self.add(part, child)

    def required(self) -> Iterator[tuple[str, str]]:
        """The fields that were there whenever the object around them was, each with that object's path."""
        for path, parent in self._parents.items():
            if not path.endswith(_ANY) and self._seen[path] == self._seen[parent]:
                yield path, parent


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return value if value.startswith("<time ") else "text"
    kinds = {bool: "flag", int: "number", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "null")


class Statistics(msgspec.Struct):
    """The statistics that one connection was told without having asked for them."""

    frames: list[ReceivedFrame] = []
    asked: list[ReceivedFrame] = []
    """Those that an actor asked for: an answer may come late, and be taken for one of the clock's."""
    settled: dict[int, ReceivedFrame] = {}
    """The last one of each quiet time, by how many actions of all actors had come before."""


def statistics_of(events: Sequence[Event], began: float | None = None) -> dict[StreamKey, Statistics]:
    """The statistics that a clock has sent, by connection."""
    clock = RunClock(events, began)
    periodic = timer_frames(events)
    found: dict[StreamKey, Statistics] = defaultdict(Statistics)
    actions, changed_ms, place = 0, 0.0, 0
    for index, event, role, key in by_connection(events):
        for earlier in range(place, index + 1):
            acts = isinstance(events[earlier], Outgoing)
            actions += acts
            if acts or (isinstance(events[earlier], Receive) and earlier not in periodic):
                changed_ms = events[earlier].at
        place = index + 1
        if isinstance(event, Receive) and fields_of(event).get("type") == STATS:
            frame = frame_of(index, role, event, clock)
            (found[key].frames if index in periodic else found[key].asked).append(frame)
            if index in periodic and event.at - changed_ms >= SETTLED_MS:
                found[key].settled[actions] = frame
    return dict(found)


def statistics_differences(
    expected: Statistics, observed: Statistics
) -> Iterator[tuple[FieldDifference, ReceivedFrame, ReceivedFrame]]:
    """What differs in the schema, and in what both tell after the same actions, each with the frames that show it."""
    for difference in _schema_differences(expected.frames, observed.frames, observed.asked):
        yield difference, expected.frames[-1], observed.frames[-1]
    for actions in sorted(expected.settled.keys() & observed.settled.keys()):
        one, other = expected.settled[actions], observed.settled[actions]
        yield from ((difference, one, other) for difference in differences(one.body, other.body))


def _schema_differences(
    expected: Sequence[ReceivedFrame], observed: Sequence[ReceivedFrame], asked: Sequence[ReceivedFrame]
) -> Iterator[FieldDifference]:
    if not observed:
        return
    ours, theirs = Schema(), Schema()
    for schema, frames in ((ours, expected), (theirs, [*observed, *asked])):
        for frame in frames:
            schema.add(frame.body)
    for path, parent in ours.required():
        wanted, had = ours.kinds[path] - {"null"}, theirs.kinds.get(path, set()) - {"null"}
        if path not in theirs.kinds and "object" in theirs.kinds.get(parent, set()):
            yield FieldDifference(path, _named(ours.kinds[path]), ABSENT)
        elif wanted and had and not wanted & had:
            yield FieldDifference(path, _named(wanted), _named(had))


def _named(kinds: set[str]) -> str:
    return f"<{' or '.join(sorted(kinds))}>"
