"""The power of the gate: which generated mutants of the stack it caught, what share that is, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

Z_95: Final = 1.959964
"""The standard normal's quantile for a two-sided interval of 95 %."""
ALL: Final = "all"


class Fate(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    """A criterion failed."""
    SURVIVED = "survived"
    UNDECIDED = "undecided"
    """No criterion failed, and not each could be judged: the gate does not pass. It does not count as caught."""
    EQUIVALENT = "equivalent"
    """It survived, and is declared, with a reason, as one that no run can tell from the original: it does not count."""


class MutantRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mutant: the change (`diff`, lines with - and +) in a file of the stack, and what became of it."""

    id: str
    room: str
    """The part of the stack that it is in: queue, matching, worker, api."""
    file: str
    line: int
    operator: str
    """The kind of change, as in `comparison < to <=`."""
    diff: str
    fate: Fate
    caught_by: tuple[str, ...] = ()
    """Ids of criteria."""
    explanation: str = ""
    """What the criterion said, or why the mutant is declared as equivalent."""
    seconds: float | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Caught among those that count, in one room or in `all`, with the limits of the 95 % interval.

    The interval is Wilson's, which holds near 0 and 1.
    """

    room: str
    caught: int
    counted: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 where nothing was tried."""
        return self.caught / self.counted if self.counted else 0.0

    @classmethod
    def of(cls, room: str, rows: Iterable[MutantRow]) -> Score:
        """The score of these."""
        counted = [row for row in rows if row.fate is not Fate.EQUIVALENT]
        caught = sum(row.fate is Fate.CAUGHT for row in counted)
        low, high = wilson(caught, len(counted))
        return cls(room=room, caught=caught, counted=len(counted), low=low, high=high)

    def describe(self) -> str:
        """`52 of 60 mutants caught: 87 % (95 % interval: 76 to 93 %)`."""
        interval = f"95 % interval: {100 * self.low:.0f} to {100 * self.high:.0f} %"
        return f"{self.caught} of {self.counted} mutants caught: {100 * self.share:.0f} % ({interval})"


def wilson(hits: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval for a share (E. B. Wilson, 1927); (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, z * z
    centre = share + square / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def scores(rows: Sequence[MutantRow]) -> list[Score]:
    """The score of all, then of each room of the stack."""
    rooms = sorted({row.room for row in rows})
    return [Score.of(ALL, rows), *(Score.of(room, [row for row in rows if row.room == room]) for room in rooms)]
