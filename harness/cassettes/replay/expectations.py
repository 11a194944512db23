"""Which recorded event an observed one is, found while the replay runs. Pure: no clock, no sockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from harness.cassettes.events import INCOMING, Close, Closed, Drop, Event, Incoming, Open, Receive, Response
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
                self._bindings.meet(_content(self._events[index]), _content(self._strays[actor].pop(0)))

    def connect(self, actor: str, index: int) -> None:
        """The actor has a new connection: what an earlier one had yet to receive cannot come any more."""
        self._open[actor] = [place for place in self._open[actor] if place > index]
        self._strays[actor].clear()

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
        self._bindings.meet(_content(self._events[place]), _content(event))
        return place

    def _likeness(self, recorded: Event, observed: Incoming) -> int:
        """0: cannot be it; 1: the same type; 2: and the same job; 3: the same but for clocks and unbound ids."""
        if type(recorded) is not type(observed):
            return 0
        if isinstance(observed, Closed | Response):
            return 3
        old, new = _content(recorded), self._bindings.incoming(_content(observed))
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


def _content(event: Event) -> Any:
    if isinstance(event, Receive):
        return event.content
    return event.body if isinstance(event, Response) else None
