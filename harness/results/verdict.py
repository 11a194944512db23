"""The three verdicts, and the one rule that combines them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """What a criterion, or a whole run, comes to."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_status(self) -> int:
        """The command's exit status: 0 pass, 1 fail, 3 inconclusive (2 is wrong usage)."""
        return _EXIT_STATUS[self]


_EXIT_STATUS: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
_RANK: Final = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Fail outranks inconclusive outranks pass; nothing at all is inconclusive, so an empty run never passes."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.INCONCLUSIVE)
