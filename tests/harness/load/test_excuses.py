"""Which errors an absence explains: of its kind, and while it lasts."""

from __future__ import annotations

import pytest

from harness.history import HistoryEvent, Source
from harness.history.absences import Absence, Part, absences_of
from harness.load.excuses import excused_errors, excused_moments
from harness.protocols import EventKind

EXCUSES = {Part.SERVER: ("connection lost",), Part.REDIS: ("HTTP 503",)}


def note(second: float, kind: EventKind, target: str, worker_id: str | None = None) -> HistoryEvent:
    return HistoryEvent(at_ms=second * 1000, source=Source.HARNESS, kind=kind, target=target, worker_id=worker_id)


def test_what_nemeses_note_of_servers_and_redis_is_an_absence_and_what_they_do_to_workers_is_not() -> None:
    events = [
        note(1, EventKind.KILLED, "worker-1", "worker-1"),
        note(2, EventKind.REDIS_DOWN, "redis"),
        note(3, EventKind.REDIS_UP, "redis"),
        note(4, EventKind.KILLED, "api"),
        note(5, EventKind.UP, "worker-1", "worker-1"),
        note(6, EventKind.UP, "api"),
        note(7, EventKind.CRASHED, "api-2"),
        note(8, EventKind.TERMINATED, "api"),
        note(9, EventKind.CUT, "redis over a line"),
        note(10, EventKind.PARTITIONED, "redis over a line"),
        note(11, EventKind.HEALED, "redis over a line"),
        note(12, EventKind.PARTITIONED, "a client's line"),
    ]
    assert absences_of(events) == [
        Absence(Part.REDIS, 2, 3),
        Absence(Part.SERVER, 4, 6),
        Absence(Part.SERVER, 8),
        Absence(Part.REDIS, 9, 9),
        Absence(Part.REDIS, 10, 11),
    ]


@pytest.mark.parametrize(
    ("second", "kind", "excused"),
    [
        (20, "connection lost: closed", 3),
        (26, "connection lost: closed", 3),
        (28, "connection lost: closed", 0),
        (18, "connection lost: closed", 0),
        (20, "HTTP 503 busy", 0),
        (31, "HTTP 503 busy", 3),
        (20, "HTTP 500", 0),
    ],
)
def test_an_error_is_excused_for_its_kind_and_its_moment(second: int, kind: str, excused: int) -> None:
    away = [Absence(Part.SERVER, 20, 22), Absence(Part.REDIS, 30, 31)]
    assert excused_errors([(second, kind, 3)], away, EXCUSES) == excused


def test_an_answer_may_be_missing_while_something_is_away_that_the_load_excuses() -> None:
    away = [Absence(Part.SERVER, 20, 22)]
    assert excused_moments([19.5, 21, 40], away, EXCUSES) == 2
    assert excused_moments([21], away, {}) == 0
