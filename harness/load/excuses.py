"""Which errors of clients are explained by what was away by the harness's own hand.

An error is excused only while what it speaks of was away, or so soon afterwards that a client may not be back yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.history.absences import Absence, Part

Excuses = Mapping[Part, tuple[str, ...]]
"""How the errors begin that clients have while a part is away."""

BACK_WITHIN_S: Final = 5.0
"""Clients wait up to a second before they connect again; what was asked of a Redis that is away is answered late."""
STEP_S: Final = 1.0
"""Errors are counted by the second in which they were seen; a submission is on its way for a moment."""

ErrorCount = tuple[int, str, int]
"""(second since the epoch, kind, how many)"""


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
