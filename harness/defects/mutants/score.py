"""What share of the mutants was caught, and how sure that share is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from harness.defects.mutants.mutant import Mutant

Z_95: Final = 1.959964
"""The standard normal's quantile for a two-sided interval of 95 %."""


class Fate(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    """A criterion failed."""
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    """It survived, and is declared, with a reason, as one that no run can tell from the original: it does not count."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One mutant and its fate; `by` are the criteria that failed, `reason` why it is declared as equivalent."""

    mutant: Mutant
    fate: Fate
    by: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Caught among those that count, with the limits of the 95 % interval (Wilson's, which holds near 0 and 1)."""

    caught: int
    counted: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 where nothing was tried."""
        return self.caught / self.counted if self.counted else 0.0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Score:
        """The score of these."""
        counted = [one for one in outcomes if one.fate is not Fate.EQUIVALENT]
        caught = sum(one.fate is Fate.CAUGHT for one in counted)
        low, high = wilson(caught, len(counted))
        return cls(caught=caught, counted=len(counted), low=low, high=high)


def wilson(hits: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval for a share (E. B. Wilson, 1927); (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, z * z
    centre = share + square / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def scores(outcomes: Sequence[Outcome]) -> dict[str, Score]:
    """The score of all (under `all`) and of each room of the stack."""
    rooms = sorted({one.mutant.room for one in outcomes})
    by_room = {room: Score.of(one for one in outcomes if one.mutant.room == room) for room in rooms}
    return {"all": Score.of(outcomes), **by_room}
