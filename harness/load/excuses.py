"""Which errors of clients are explained by what was away by the harness's own hand.

An error is excused only while what it speaks of was away, or so soon afterwards that a client may not be back yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.history.absences import BROWN_OUTS, Absence, Part
from harness.machine_time import HALF, MachineTime

Excuses = Mapping[Part, tuple[str, ...]]
"""How the errors begin that clients have while a part is away."""

BACK_WITHIN_S: Final = 5.0
"""Clients wait up to a second before they connect again; what was asked of a Redis that is away is answered late."""
STEP_S: Final = 1.0
"""Errors are counted by the second in which they were seen; a submission is on its way for a moment."""

SOON_S: Final = 2.0
"""A brown-out is over when the stack says so: what was refused before is on its way, and a client sees it soon."""
SENT_AWAY: Final = "sent away: "
"""How the error of a client begins that is refused by the hub's protocols; behind it stands what it was told."""
SENT_AWAY_IN_FLIGHT: Final = "sent away with jobs in flight: "
"""The same of a client that has jobs in flight."""
NO_WORD: Final = "without a word"
"""What a client says that was told nothing."""
BROWNED_OUT: Final = "Brown-out of the hub's protocols"
"""How the stack's reason begins; another one, or none, is not excused."""
BY_REST: Final = "HTTP 410 "
CANNOT_SEND: Final = "cannot send: "
"""How the error of a client begins whose connection was closed just then; if it was sent away, that stands behind."""
TOO_LATE: Final = "Failed to cancel job "
"""A cancellation that was held up: it is answered when the client is back, so not before the brown-out is over."""
REFUSED: Final = (
    *(BROWNED_OUT, SENT_AWAY + BROWNED_OUT, BY_REST + BROWNED_OUT),
    CANNOT_SEND + SENT_AWAY + BROWNED_OUT,
)
IN_BROWN_OUTS: Final[Excuses] = {
    Part.LEGACY: REFUSED,
    Part.ALL_LEGACY: (
        *REFUSED,
        *(SENT_AWAY_IN_FLIGHT + BROWNED_OUT, CANNOT_SEND + SENT_AWAY_IN_FLIGHT + BROWNED_OUT, TOO_LATE),
    ),
}
"""What clients of the hub's protocols meet in a brown-out, by whether it spares those with jobs in flight."""

LATE: Final = (
    *("cannot connect: ", "cannot send: ", "no answer: ", "connection lost: ", "stream lost: ", "not connected"),
    *("HTTP 503 ", "Server error processing message: Redis ", TOO_LATE),
)
"""How the errors begin that slowness alone may cause: a time-out somewhere, or something that came too late."""
ANSWER_S: Final = 10.0
"""So long clients wait."""

ErrorCount = tuple[int, str, int]
"""(second since the epoch, kind, how many)"""


def excused_errors(errors: Iterable[ErrorCount], absences: Sequence[Absence], excuses: Excuses) -> Counter[str]:
    """Those of the errors that are explained by what was away then, by kind."""
    found = Counter[str]()
    for second, kind, number in errors:
        if any(_explains(one, second, kind) and kind.startswith(excuses.get(one.part, ())) for one in absences):
            found[kind] += number
    return found


def excused_moments(moments: Iterable[tuple[float, bool]], absences: Sequence[Absence], excuses: Excuses) -> int:
    """How many submissions of those moments may have got no answer for what was away then.

    In a brown-out those may whose client was sent away: its connection was closed before they were read.
    """
    return sum(
        any(
            _covers(one, moment) and one.part in excuses and (one.part not in BROWN_OUTS or sent_away)
            for one in absences
        )
        for moment, sent_away in moments
    )


def is_starved(machine: MachineTime, second: float) -> bool:
    """Whether what was due then had, in the time that clients wait, less than half of the machine."""
    return machine.left_less_than(HALF, second - ANSWER_S, second)


def _explains(absence: Absence, second: float, kind: str) -> bool:
    held_up = absence.part in BROWN_OUTS and kind.startswith(TOO_LATE)
    return _covers(absence, second) and not (held_up and second < absence.to_s - STEP_S)


def _covers(absence: Absence, second: float) -> bool:
    after = SOON_S if absence.part in BROWN_OUTS else BACK_WITHIN_S
    return absence.from_s - STEP_S <= second <= absence.to_s + after
