"""Frames whose cause is a clock and not a message: how many come depends on how long one listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from harness.cassettes.events import Event, Open, Receive, Send

STATS: Final = "stats_broadcast"
_ASKED_BY: Final = frozenset({"get_system_status", "subscribe"})


def timer_frames(events: Sequence[Event]) -> frozenset[int]:
    """Indices of the statistics that nobody had asked for, and of their acknowledgements.

    A monitor asks for one by connecting, by `get_system_status` and by `subscribe`; all others are periodic.
    """
    due: Counter[str] = Counter()
    periodic: set[int] = set()
    ack_is_periodic: dict[str, bool] = {}
    for index, event in enumerate(events):
        actor = event.actor
        if isinstance(event, Open):
            due[actor] = 1
        elif isinstance(event, Send) and _word(event.content, "type") in _ASKED_BY:
            due[actor] += 1
        elif isinstance(event, Receive) and _word(event.content, "type") == STATS:
            ack_is_periodic[actor] = due[actor] == 0
            due[actor] = max(0, due[actor] - 1)
            if ack_is_periodic[actor]:
                periodic.add(index)
        elif (
            isinstance(event, Receive) and _word(event.content, "original_type") == STATS and ack_is_periodic.get(actor)
        ):
            periodic.add(index)
    return frozenset(periodic)


def _word(content: Any, field: str) -> str | None:
    value = content.get(field) if isinstance(content, dict) else None
    return value if isinstance(value, str) else None
