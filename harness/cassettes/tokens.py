"""The ids that a server chose: which they are in a recording, and how they are bound to those of another run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from harness.cassettes.events import Event, Open, Receive, Request, Response, Send, content_of

_OPAQUE: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a UUID, with whatever stands before it
    r"|\b[0-9a-f]{32}\b"  # an MD5
    r"|\b[0-9a-f]{8}-[0-9a-f]{8}\b",  # the hub's id of a message in chunks
    re.IGNORECASE,
)
_LONGEST_TOKEN: Final = 200
_OTHER_ID_FIELDS: Final = frozenset({"id", "message_hash"})


def is_id_field(name: str) -> bool:
    """Whether a field of that name holds an id."""
    return name in _OTHER_ID_FIELDS or name.endswith("_id")


def looks_chosen_by_machine(text: str) -> bool:
    """Whether a text is an id that no two runs share."""
    return len(text) <= _LONGEST_TOKEN and _OPAQUE.search(text) is not None


def tokens_of(events: Iterable[Event]) -> frozenset[str]:
    """The ids of a recording that a replay has to bind: first seen in what was received, and either plainly made by
    a machine or sent on later. An id that an actor chose itself is none: it has to come back as it was sent.
    """
    said: set[str] = set()
    heard: set[str] = set()
    tokens: set[str] = set()
    for event in events:
        if isinstance(event, Receive | Response):
            for text in _ids(content_of(event)):
                if text not in said:
                    (tokens if looks_chosen_by_machine(text) else heard).add(text)
        else:
            spoken = set(_spoken(event))
            tokens |= heard & spoken
            said |= spoken
    return frozenset(tokens)


def _ids(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            if looks_chosen_by_machine(key):
                yield key
            yield from _ids(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _ids(part, name)
    elif isinstance(value, str) and value and is_id_field(name) and len(value) <= _LONGEST_TOKEN:
        yield value


def _spoken(event: Event) -> Iterator[str]:
    if isinstance(event, Open | Request):
        yield from re.split(r"[/?&=]", event.path)
    if isinstance(event, Send | Request):
        yield from _strings(content_of(event))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, str):
        yield value


class Exchange:
    """Puts other ids in the place of known ones, wherever in a JSON value they stand."""

    def __init__(self, table: dict[str, str] | None = None) -> None:
        self.table: Final = dict(table or {})
        self._pattern: re.Pattern[str] | None = None

    def add(self, old: str, new: str) -> None:
        """Exchange one more id from now on."""
        self.table[old] = new
        self._pattern = None

    def applied(self, value: Any) -> Any:
        """The value with other ids."""
        if not self.table:
            return value
        if isinstance(value, str):
            return self.table.get(value) or self._inside(value)
        if isinstance(value, dict):
            return {self.applied(key): self.applied(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.applied(part) for part in value]
        return value

    def _inside(self, text: str) -> str:
        """Ids within a longer text, longest first; short ones that people chose are left alone there."""
        if self._pattern is None:
            long = sorted((old for old in self.table if looks_chosen_by_machine(old)), key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, long)) or r"(?!)")
        return self._pattern.sub(lambda found: self.table[found[0]], text)


class Bindings:
    """A one-to-one table between the ids of a recording and those of the run that is held against it."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens: Final = frozenset(tokens)
        self._there = Exchange()
        self._here = Exchange()

    def bind(self, recorded: str, observed: str) -> bool:
        """Tie two ids together at first sight; false where either is tied to another already."""
        if recorded in self._there.table or observed in self._here.table:
            return self._there.table.get(recorded) == observed
        self._there.add(recorded, observed)
        self._here.add(observed, recorded)
        return True

    def is_free(self, recorded: str) -> bool:
        """Whether it is a token that nothing is tied to yet."""
        return recorded in self.tokens and recorded not in self._there.table

    def is_taken(self, observed: str) -> bool:
        """Whether an observed id is tied to a token."""
        return observed in self._here.table

    def meet(self, recorded: Any, observed: Any) -> None:
        """Bind the ids that stand in the same places of two messages that belong together."""
        if isinstance(recorded, dict) and isinstance(observed, dict):
            for key, part in recorded.items():
                if key in observed:
                    self.meet(part, observed[key])
            self._meet_keys(recorded, observed)
        elif isinstance(recorded, list) and isinstance(observed, list):
            for one, other in zip(recorded, observed, strict=False):
                self.meet(one, other)
        elif isinstance(recorded, str) and isinstance(observed, str) and recorded in self.tokens:
            self.bind(recorded, observed)

    def _meet_keys(self, recorded: dict[str, Any], observed: dict[str, Any]) -> None:
        free = [key for key in recorded if self.is_free(key)]
        new = [key for key in observed if key not in recorded and key not in self._here.table]
        if len(free) == len(new) == 1:
            self.bind(free[0], new[0])

    def estrange(self) -> None:
        """Have no observed text pass for a recorded id that is tied to another one: by chance it looks like it."""
        for recorded, observed in self.table().items():
            if recorded != observed and not self.is_taken(recorded):
                self._here.add(recorded, f"{recorded} (another one)")

    def outgoing(self, value: Any) -> Any:
        """A recorded value with the ids of this run."""
        return self._there.applied(value)

    def incoming(self, value: Any) -> Any:
        """An observed value with the ids of the recording."""
        return self._here.applied(value)

    def table(self) -> dict[str, str]:
        """Recorded id to observed id."""
        return dict(self._there.table)
