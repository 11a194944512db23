"""Figures behind the verdicts: distributions of latencies, and series over time or over load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Self

import msgspec

PERCENTILES: Final = (
    *(0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.5),
    *(98.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0),
)
"""The percentiles that a distribution keeps."""


def percentiles_for(count: int) -> list[float]:
    """Those that so many values can tell: the 99th of ten values would be no other than the largest."""
    return [percent for percent in PERCENTILES if count and (percent == 100.0 or percent <= 100 * (1 - 1 / count))]


class Percentile(msgspec.Struct, frozen=True, array_like=True):
    """One point of a distribution: `percent` of all values are at or below `value`."""

    percent: float
    value: float


class Series(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One distribution: `count` values, their percentiles in rising order, 100 the largest."""

    label: str
    count: int
    percentiles: tuple[Percentile, ...]
    mean: float | None = None

    @classmethod
    def of_values(cls, label: str, values: Sequence[float]) -> Self:
        """From every single value (nearest rank: each percentile is a value that was seen)."""
        ordered = sorted(value for value in values if math.isfinite(value))
        count = len(ordered)
        points = [
            Percentile(percent, ordered[max(0, math.ceil(percent / 100 * count) - 1)])
            for percent in percentiles_for(count)
        ]
        mean = math.fsum(ordered) / count if count else None
        return cls(label=label, count=count, percentiles=tuple(points), mean=mean)

    def at(self, percent: float) -> float | None:
        """The value of the lowest kept percentile that is not below `percent`; None where there are no values."""
        return next((point.value for point in self.percentiles if point.percent >= percent), None)


class Limit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A threshold drawn into a figure; `percent` where it is for one percentile only."""

    value: float
    label: str
    percent: float | None = None


class Distribution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Distributions drawn over one another, over a logarithmic percentile axis."""

    id: str
    title: str
    unit: str
    series: tuple[Series, ...]
    sentence: str = ""
    limits: tuple[Limit, ...] = ()


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One point of a line."""

    x: float
    y: float


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line, its points in rising x."""

    label: str
    points: tuple[Point, ...]

    @classmethod
    def of(cls, label: str, points: Sequence[tuple[float, float]]) -> Self:
        """From pairs in any order."""
        return cls(label=label, points=tuple(Point(x, y) for x, y in sorted(points)))


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened at x: a wave of kills, a restart. With `until`, it lasted."""

    x: float
    label: str
    until: float | None = None


class Moment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The jobs behind the highest values at x: what a click on a spike leads to."""

    x: float
    jobs: dict[str, float]
    """Job → its value, in the chart's unit; the highest first."""


class Chart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lines over time (throughput, queue depth, memory) or over another quantity (rate)."""

    id: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    x_title: str = "time"
    x_unit: str = "s"
    sentence: str = ""
    limits: tuple[Limit, ...] = ()
    marks: tuple[Mark, ...] = ()
    moments: tuple[Moment, ...] = ()
