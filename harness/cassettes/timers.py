"""Frames whose cause is a clock and not a message: how many come depends on how long one listens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from harness.cassettes.events import Closed, Event, Open, Receive, Role, Send, fields_of

STATS: Final = "stats_broadcast"
WORKER_STATUS: Final = "worker_status"
OFFER: Final = "job_available"
SILENT_MS: Final = 60_000
"""The hub sends away a worker that did not say for so long that it lives, in the next of its rounds of 30 s."""
_SAYS_IT_LIVES: Final = frozenset({"register_worker", "worker_heartbeat"})
_ASKED_BY: Final = frozenset({"get_system_status", "subscribe"})


def timer_frames(events: Sequence[Event]) -> frozenset[int]:
    """Indices of the statistics that nobody had asked for, of a worker's status where it is what was told last, and of
    their acknowledgements.

    So is an offer that repeats the last one: the hub offers a job again whenever anything happens, until it is taken.
    A monitor asks for statistics by connecting, by `get_system_status` and by `subscribe`; all others are periodic, and
    so is a status that a worker repeats with its heartbeat.
    """
    due: Counter[str] = Counter()
    told: dict[tuple[str, str], Any] = {}
    found: set[int] = set()
    broadcasts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    acks: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, event in enumerate(events):
        actor, content = event.actor, fields_of(event)
        word = str(content.get("type")) if content else ""
        if isinstance(event, Open):
            due[actor] = 1
            told = {key: status for key, status in told.items() if key[0] != actor}
        elif isinstance(event, Send) and word in _ASKED_BY:
            due[actor] += 1
        elif isinstance(event, Receive) and content:
            by_clock = _repeats(told, actor, content)
            if word == STATS:
                by_clock = due[actor] == 0
                due[actor] = max(0, due[actor] - 1)
            elif word == "ack":
                acks[actor, str(content.get("original_type"))].append(index)
            if by_clock:
                found.add(index)
            broadcasts[actor, word].append(by_clock)
    for key, places in acks.items():  # they come in the order of what they acknowledge
        found.update(place for place, by_clock in zip(places, broadcasts[key], strict=False) if by_clock)
    return frozenset(found)


def _repeats(told: dict[tuple[str, str], Any], actor: str, content: dict[str, Any]) -> bool:
    """Whether an actor is told once more what it was told last of a worker, or of a job that it may have."""
    match content.get("type"):
        case "worker_status":
            key, value = (actor, str(content.get("worker_id"))), content.get("status")
        case "job_available":
            key, value = (actor, OFFER), content.get("job_id")
        case kind:
            if kind == "job_assigned":
                told.pop((actor, OFFER), None)
            return False
    last, told[key] = told.get(key), value
    return bool(last == value)


def sent_away_by_clock(events: Sequence[Event]) -> frozenset[int]:
    """Indices of the ends of workers that the hub sent away for their silence. When its round comes depends on when the
    hub was started: with another start the same worker may have left by itself before.
    """
    names: dict[str, str] = {}
    heard: dict[str, float] = {}
    found: set[int] = set()
    for index, event in enumerate(events):
        match event:
            case Open(role=Role.WORKER):
                names[event.actor] = event.path.partition("?")[0].rpartition("/")[2]
                heard.pop(event.actor, None)
            case Send(content={"type": str(word)}) if word in _SAYS_IT_LIVES:
                heard[event.actor] = event.at
            case Closed() if event.at - heard.get(event.actor, event.at) > SILENT_MS:
                if event.reason == f"Worker {names.get(event.actor)} disconnected":
                    found.add(index)
    return frozenset(found)
