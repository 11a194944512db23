"""The three verdicts, and the one rule that combines them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """What a criterion, or a whole run, comes to."""

    HOLDS = "holds"
    FAILS = "does not hold"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_status(self) -> int:
        """The command's exit status: 0 holds, 1 does not hold, 3 inconclusive (2 is wrong usage)."""
        return _EXIT_STATUS[self]


_EXIT_STATUS: Final = {Verdict.HOLDS: 0, Verdict.FAILS: 1, Verdict.INCONCLUSIVE: 3}
_RANK: Final = {Verdict.HOLDS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAILS: 2}


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Fails outranks inconclusive outranks holds; nothing at all is inconclusive, so an empty run never passes."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.INCONCLUSIVE)
