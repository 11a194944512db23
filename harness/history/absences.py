"""When servers, Redis or the hub's protocols were away by the harness's own hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from harness.history.events import HistoryEvent
from harness.protocols import EventKind

WORKER_FAULTS: Final = frozenset({EventKind.KILLED, EventKind.TERMINATED, EventKind.STOPPED})
SHARED_FAULTS: Final = frozenset({EventKind.REDIS_DOWN, EventKind.CUT, EventKind.SLOWED, EventKind.PARTITIONED})
"""Faults that reach every worker at once when they befall the way to Redis (the target says so)."""
RETURNS: Final = frozenset({EventKind.REDIS_UP, EventKind.HEALED, EventKind.UP, EventKind.CONTINUED})
OF_REDIS: Final = SHARED_FAULTS | {EventKind.REDIS_UP, EventKind.HEALED}
OF_SERVERS: Final = WORKER_FAULTS | {EventKind.UP, EventKind.CONTINUED}
REDIS_TARGET: Final = "redis"
"""How the names of Redis and of the lines to it begin."""


class Part(StrEnum):
    """What may be away."""

    SERVER = "server"
    REDIS = "redis"
    LEGACY = "the hub's protocols"
    """To clients that have no jobs in flight."""
    ALL_LEGACY = "the hub's protocols, also to clients with jobs in flight"


BROWN_OUTS: Final = frozenset({Part.LEGACY, Part.ALL_LEGACY})
"""Whoever submits, follows and works by other ways is served meanwhile."""


class Absence(msgspec.Struct, frozen=True):
    """Seconds since the epoch."""

    part: Part
    from_s: float
    to_s: float = float("inf")


def absences_of(events: Iterable[HistoryEvent]) -> list[Absence]:
    """By the notes of the nemeses; what did not come back is away to the end."""
    found: list[Absence] = []
    away: dict[str, int] = {}
    for event in events:
        part = _part_of(event)
        if part is None:
            continue
        at = event.at_ms / 1000
        if event.kind in RETURNS | {EventKind.BROWN_OUT_OVER}:
            if (number := away.pop(event.target, None)) is not None:
                found[number] = msgspec.structs.replace(found[number], to_s=at)
        elif event.kind is EventKind.CUT:
            found.append(Absence(part, at, at))
        elif event.target not in away:
            away[event.target] = len(found)
            found.append(Absence(part, at))
    return found


def nobody_reaping(events: Sequence[HistoryEvent]) -> list[Absence]:
    """When Redis was away, or all servers at once that anything was ever done to, by their beginnings."""
    of_servers = [event for event in events if _part_of(event) is Part.SERVER]
    servers = {event.target for event in of_servers}
    found = [absence for absence in absences_of(events) if absence.part is Part.REDIS]
    away: set[str] = set()
    since: float | None = None
    for event in of_servers:
        (away.discard if event.kind in RETURNS else away.add)(event.target)
        if away == servers and since is None:
            since = event.at_ms / 1000
        elif away != servers and since is not None:
            found.append(Absence(Part.SERVER, since, event.at_ms / 1000))
            since = None
    if since is not None:
        found.append(Absence(Part.SERVER, since))
    return sorted(found, key=lambda absence: absence.from_s)


def _part_of(event: HistoryEvent) -> Part | None:
    """What an event of the harness speaks of; None where it is about a worker, or takes nothing away or back."""
    if event.kind in (EventKind.BROWN_OUT, EventKind.BROWN_OUT_OVER):
        return Part(event.target)
    if event.kind in OF_REDIS and event.target.startswith(REDIS_TARGET):
        return Part.REDIS
    return Part.SERVER if event.kind in OF_SERVERS and event.worker_id is None else None
