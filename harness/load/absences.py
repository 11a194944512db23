"""When the servers or Redis were away by the harness's own hand, and which errors of clients that explains.

An error is excused only while what it speaks of was away, or so soon afterwards that a client may not be back yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from harness.history import HistoryEvent
from harness.history.history import SHARED_FAULTS, WORKER_FAULTS
from harness.protocols import EventKind


class Part(StrEnum):
    """What may be away."""

    SERVER = "server"
    REDIS = "redis"


class Absence(msgspec.Struct, frozen=True):
    """Seconds since the epoch."""

    part: Part
    from_s: float
    to_s: float = float("inf")


Excuses = Mapping[Part, tuple[str, ...]]
"""How the errors begin that clients have while a part is away."""

BACK_WITHIN_S: Final = 5.0
"""Clients wait up to a second before they connect again; what was asked of a Redis that is away is answered late."""
STEP_S: Final = 1.0
"""Errors are counted by the second in which they were seen; a submission is on its way for a moment."""

RETURNS: Final = frozenset({EventKind.REDIS_UP, EventKind.HEALED, EventKind.UP, EventKind.CONTINUED})
OF_REDIS: Final = SHARED_FAULTS | {EventKind.REDIS_UP, EventKind.HEALED}
OF_SERVERS: Final = WORKER_FAULTS | {EventKind.UP, EventKind.CONTINUED}
REDIS_TARGET: Final = "redis"
"""How the names of Redis and of the lines to it begin."""

ErrorCount = tuple[int, str, int]
"""(second since the epoch, kind, how many)"""


def absences_of(events: Iterable[HistoryEvent]) -> list[Absence]:
    """By the notes of the nemeses; what did not come back is away to the end."""
    found: list[Absence] = []
    away: dict[str, int] = {}
    for event in events:
        part = _part_of(event)
        if part is None:
            continue
        at = event.at_ms / 1000
        if event.kind in RETURNS:
            if (number := away.pop(event.target, None)) is not None:
                found[number] = msgspec.structs.replace(found[number], to_s=at)
        elif event.kind is EventKind.CUT:
            found.append(Absence(part, at, at))
        elif event.target not in away:
            away[event.target] = len(found)
            found.append(Absence(part, at))
    return found


def _part_of(event: HistoryEvent) -> Part | None:
    """What an event of the harness speaks of; None where it is about a worker, or takes nothing away or back."""
    if event.kind in OF_REDIS and event.target.startswith(REDIS_TARGET):
        return Part.REDIS
    return Part.SERVER if event.kind in OF_SERVERS and event.worker_id is None else None


def excused_errors(errors: Iterable[ErrorCount], absences: Sequence[Absence], excuses: Excuses) -> int:
    """How many of the errors are explained by what was away then."""
    return sum(
        number
        for second, kind, number in errors
        if any(_covers(one, second) and kind.startswith(excuses.get(one.part, ())) for one in absences)
    )


def excused_moments(moments: Iterable[float], absences: Sequence[Absence], excuses: Excuses) -> int:
    """How many submissions of those moments may have got no answer for what was away then."""
    return sum(any(_covers(one, moment) and one.part in excuses for one in absences) for moment in moments)


def _covers(absence: Absence, second: float) -> bool:
    return absence.from_s - STEP_S <= second <= absence.to_s + BACK_WITHIN_S
