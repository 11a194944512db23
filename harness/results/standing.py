"""How something came out against what it is held against: a figure against earlier runs (`trend`), the stack against
the hub.
"""

from __future__ import annotations

import statistics
from enum import StrEnum

import msgspec

from harness.results.formatting import quantity


class Standing(StrEnum):
    """How it came out."""

    WORSE = "worse"
    SAME = "same"
    BETTER = "better"
    NEW = "new"
    """No earlier run has the figure."""
    ELSEWHERE = "another machine"
    """Measured there, it says nothing of here."""
    ALONE = "not comparable"
    """What was done has no meaning on the hub, or was not done to it."""

    def beside(self, other: str) -> str:
        """`worse than the hub`, `same as the hub`; what could not be compared stays so."""
        word = {Standing.WORSE: "than", Standing.SAME: "as", Standing.BETTER: "than"}.get(self)
        return f"{self.value} {word} {other}" if word else self.value


class FigureTrend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure of a run with what it was before."""

    criterion: str
    what: str
    unit: str
    after: float
    before: tuple[float, ...]
    """Of the earlier runs, the oldest first."""
    change: Standing

    @property
    def median(self) -> float | None:
        """Of the earlier runs."""
        return statistics.median(self.before) if self.before else None

    @property
    def share(self) -> float:
        """The change as a share of the earlier median; 0 where there is none."""
        return (self.after - self.median) / abs(self.median) if self.median else 0.0

    def since(self, name: str) -> str:
        """`p99 of claims 9.1 ms, 8 % more than v0.1`."""
        if self.median is None:
            return f"{self.what} {quantity(self.after, self.unit)}"
        than = f"{_share(self.after, self.median)} than {name}" if self.median else f"{name}: 0"
        if self.median and not round(100 * self.share):
            than = f"as {name}"
        return f"{self.what} {quantity(self.after, self.unit)}, {than}"

    def describe(self) -> str:
        """`p99 of claims: 9.1 ms, was 8.4 ms (8 % more)`."""
        said = f"{self.what}: {quantity(self.after, self.unit)}"
        if self.median is None:
            return said
        share = f" ({_share(self.after, self.median)})" if self.median else ""
        return f"{said}, was {quantity(self.median, self.unit)}{share}"


def _share(after: float, before: float) -> str:
    percent = round(100 * (after - before) / abs(before))
    return f"{abs(percent)} % {'more' if percent > 0 else 'less'}" if percent else "no change"
