"""Which errors an absence explains: of its kind, and while it lasts."""

from __future__ import annotations

import pytest

from harness.history import History, HistoryEvent, Source
from harness.history.absences import Absence, Part, absences_of
from harness.load.excuses import IN_BROWN_OUTS, excused_errors, excused_moments
from harness.protocols import EventKind

EXCUSES = {**IN_BROWN_OUTS, Part.SERVER: ("connection lost",), Part.REDIS: ("HTTP 503",)}
BROWN_OUT = "Brown-out of the hub's protocols until 10:15 UTC: use HTTP and SSE."


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
        note(13, EventKind.BROWN_OUT, Part.LEGACY),
        note(14, EventKind.BROWN_OUT_OVER, Part.LEGACY),
        note(15, EventKind.BROWN_OUT, Part.ALL_LEGACY),
    ]
    assert absences_of(events) == [
        Absence(Part.REDIS, 2, 3),
        Absence(Part.SERVER, 4, 6),
        Absence(Part.SERVER, 8),
        Absence(Part.REDIS, 9, 9),
        Absence(Part.REDIS, 10, 11),
        Absence(Part.LEGACY, 13, 14),
        Absence(Part.ALL_LEGACY, 15),
    ]
    assert History([*events[-2:], note(16, EventKind.REDIS_DOWN, "redis")]).absences == [Absence(Part.REDIS, 16)]


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
        (41, f"sent away: {BROWN_OUT}", 3),
        (41, f"sent away with jobs in flight: {BROWN_OUT}", 0),
        (41, "sent away: without a word", 0),
        (41, f"HTTP 410 {BROWN_OUT}", 3),
        (46, f"sent away: {BROWN_OUT}", 0),
        (51, f"sent away with jobs in flight: {BROWN_OUT}", 3),
        (51, "connection lost: closed", 0),
        (41, "Failed to cancel job <id>", 0),
        (53, "Failed to cancel job <id>", 0),
        (57, "Failed to cancel job <id>", 3),
        (59, "Failed to cancel job <id>", 0),
        (51, "cannot send: broken pipe", 0),
        (51, f"cannot send: sent away: {BROWN_OUT}", 3),
        (46, f"cannot send: sent away: {BROWN_OUT}", 0),
    ],
)
def test_an_error_is_excused_for_its_kind_and_its_moment(second: int, kind: str, excused: int) -> None:
    away = [Absence(Part.SERVER, 20, 22), Absence(Part.REDIS, 30, 31)]
    away += [Absence(Part.LEGACY, 40, 42), Absence(Part.ALL_LEGACY, 50, 56)]
    assert excused_errors([(second, kind, 3)], away, EXCUSES).total() == excused


def test_an_answer_may_be_missing_while_something_is_away_that_the_load_excuses() -> None:
    away = [Absence(Part.SERVER, 20, 22)]
    assert excused_moments([(at, False) for at in (19.5, 21, 40)], away, EXCUSES) == 2
    assert excused_moments([(21, False)], away, {}) == 0


@pytest.mark.parametrize("part", [Part.LEGACY, Part.ALL_LEGACY])
def test_in_a_brown_out_answers_may_be_missing_to_those_alone_that_were_sent_away(part: Part) -> None:
    away = [Absence(part, 40, 42)]
    assert excused_moments([(41, True)], away, EXCUSES) == 1
    assert excused_moments([(41, False)], away, EXCUSES) == 0
    assert excused_moments([(50, True)], away, EXCUSES) == 0
