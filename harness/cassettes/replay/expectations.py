"""What a replay waits for and how long; which recorded event an observed one is. Pure: no clock, no sockets."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from harness.cassettes import Note
from harness.cassettes.events import INCOMING, Close, Closed, Drop, Event, Incoming, Open, Response, told_by
from harness.cassettes.timers import timer_frames
from harness.cassettes.tokens import Bindings
from harness.parity.findings import differences
from harness.parity.normalize import normalized_frame

WINDOW = 64
"""How far ahead of the first open expectation an observed frame may belong."""


class Expectations:
    """What every actor has yet to receive, by the recording. Ids are bound as events arrive."""

    def __init__(self, events: Sequence[Event], bindings: Bindings, *, ignored: frozenset[str] = frozenset()) -> None:
        self._events = events
        self._bindings = bindings
        self._open: dict[str, list[int]] = defaultdict(list)
        self._awaited: set[int] = set()
        self._strays: dict[str, list[Incoming]] = defaultdict(list)
        clock_made = timer_frames(events)
        leaving: set[str] = set()
        for index, event in enumerate(events):
            if isinstance(event, Close | Drop):
                leaving.add(event.actor)
            elif isinstance(event, Open):
                leaving.discard(event.actor)
            if isinstance(event, INCOMING) and event.actor not in ignored:
                self._open[event.actor].append(index)
                if index not in clock_made:
                    self._awaited.add(index)

    def outstanding(self, before: int) -> list[int]:
        """Recorded events before that place which have not come and were not given up."""
        return sorted(index for index in self._awaited if index < before)

    def give_up(self, indices: Sequence[int]) -> None:
        """Wait no longer for these; they may still come. Strays are taken for them as far as ids are to be had."""
        for index in indices:
            self._awaited.discard(index)
            actor = self._events[index].actor
            if self._strays[actor]:
                self._bindings.meet(told_by(self._events[index]), told_by(self._strays[actor].pop(0)))

    def connect(self, actor: str, index: int) -> None:
        """The actor has a new connection: what an earlier one had yet to receive cannot come any more."""
        self._open[actor] = [place for place in self._open[actor] if place > index]
        self._strays[actor].clear()

    def rearrange(self, events: Sequence[Event], places: Sequence[int]) -> None:
        """The recording has another order from now on; `places` says where each event stands then. What has come, or
        was given up, stays so.
        """
        self._events = events
        self._awaited = {places[place] for place in self._awaited}
        for actor, due in self._open.items():
            self._open[actor] = sorted(places[place] for place in due)

    def arrive(self, event: Incoming) -> int | None:
        """Find the recorded event that this one is, bind the ids of the two, and answer its place; None if none is."""
        # The first expectation is not always the one: frames about different jobs may change places. The likest within
        # the window wins, of equals the earliest; what is like none is kept, for ids can still be had from it.
        places = self._open[event.actor][:WINDOW]
        scores = [(self._likeness(self._events[place], event), -order) for order, place in enumerate(places)]
        best, order = max(scores, default=(0, 0))
        if best == 0:
            self._strays[event.actor].append(event)
            return None
        place = places[-order]
        self._open[event.actor].remove(place)
        self._awaited.discard(place)
        self._bindings.meet(told_by(self._events[place]), told_by(event))
        return place

    def _likeness(self, recorded: Event, observed: Incoming) -> int:
        """0: cannot be it; 1: the same type; 2: and the same job; 3: the same but for clocks and unbound ids."""
        if type(recorded) is not type(observed):
            return 0
        if isinstance(observed, Closed | Response):
            return 3
        old, new = told_by(recorded), self._bindings.incoming(told_by(observed))
        if isinstance(old, dict) and isinstance(new, dict):
            return self._message_likeness(old, new)
        return 3 if old == new else 0

    def _message_likeness(self, old: dict[str, Any], new: dict[str, Any]) -> int:
        if old.get("type") != new.get("type"):
            return 0
        found = differences(normalized_frame(old), normalized_frame(new))
        if all(self._may_be(one.expected, one.observed) for one in found):
            return 3
        ours, theirs = old.get("job_id"), new.get("job_id")
        if ours == theirs or self._may_be(ours, theirs):
            return 2
        return int(self._bindings.tokens.isdisjoint(text for text in (ours, theirs) if isinstance(text, str)))

    def _may_be(self, recorded: Any, observed: Any) -> bool:
        """Whether the observed id can be the one that the recorded one stands for."""
        return (
            isinstance(recorded, str)
            and isinstance(observed, str)
            and self._bindings.is_free(recorded)
            and not self._is_bound(observed)
        )

    def _is_bound(self, observed: Any) -> bool:
        return isinstance(observed, str) and observed in self._bindings.table()


_WITHIN: Final = re.compile(r"within ([0-9.]+) s\b")


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds throughout."""

    deadline_s: float = 3.0
    """For a frame that the recording has, beyond what the recording itself took for it."""
    patience_s: float = 40.0
    """The most that a recorded wait adds to the deadline."""
    hurried_deadline_s: float = 0.5
    """The deadline for kinds of frames that did not come before, and for all once `hurry_after` have not come."""
    hurry_after: int = 3
    settle_s: float = 75.0
    """The most that is waited where the recording notes a wait in which nothing came. Shorter is quicker, and makes a
    difference that is found after it inconclusive."""
    quiet_s: float = 0.15
    """Before an actor leaves that had lingered in the recording: nothing may come for so long."""
    linger_gap_s: float = 0.2
    """A recorded gap before leaving that counts as lingering."""
    connect_s: float = 10.0
    request_s: float = 60.0
    whole_s: float = 300.0
    """A cassette that takes longer is inconclusive."""


def noted_wait_s(note: Note) -> float:
    """The seconds of a deliberate wait in a note, else 0."""
    found = _WITHIN.search(note.text)
    return float(found[1]) if found else 0.0
