"""Frames whose cause is a clock and not a message: how many come depends on how long one listens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from harness.cassettes.events import Event, Open, Receive, Send

STATS: Final = "stats_broadcast"
WORKER_STATUS: Final = "worker_status"
_ASKED_BY: Final = frozenset({"get_system_status", "subscribe"})


def timer_frames(events: Sequence[Event]) -> frozenset[int]:
    """Indices of the statistics that nobody had asked for, of a worker's status where it is what was told last, and of
    their acknowledgements.

    A monitor asks for statistics by connecting, by `get_system_status` and by `subscribe`; all others are periodic, and
    so is a status that a worker repeats with its heartbeat.
    """
    due: Counter[str] = Counter()
    told: dict[tuple[str, str], Any] = {}
    found: set[int] = set()
    broadcasts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    acks: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, event in enumerate(events):
        actor, content = event.actor, event.content if isinstance(event, Send | Receive) else None
        word = str(content.get("type")) if isinstance(content, dict) else ""
        if isinstance(event, Open):
            due[actor] = 1
            told = {key: status for key, status in told.items() if key[0] != actor}
        elif isinstance(event, Send) and word in _ASKED_BY:
            due[actor] += 1
        elif isinstance(event, Receive) and isinstance(content, dict):
            by_clock = False
            if word == STATS:
                by_clock = due[actor] == 0
                due[actor] = max(0, due[actor] - 1)
            elif word == WORKER_STATUS:
                worker = (actor, str(content.get("worker_id")))
                by_clock = told.get(worker) == content.get("status")
                told[worker] = content.get("status")
            elif word == "ack":
                acks[actor, str(content.get("original_type"))].append(index)
            if by_clock:
                found.add(index)
            broadcasts[actor, word].append(by_clock)
    for key, places in acks.items():  # they come in the order of what they acknowledge
        found.update(place for place, by_clock in zip(places, broadcasts[key], strict=False) if by_clock)
    return frozenset(found)
