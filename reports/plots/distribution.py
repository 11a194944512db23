"""A latency distribution over a logarithmic percentile axis: as much room for the slowest 1 % as for the rest."""

from __future__ import annotations

import math
from typing import Final

from markupsafe import Markup

from harness.results import Distribution, Limit, Series
from harness.results.words import number, quantity
from reports.plots.scale import Scale, value_scale
from reports.plots.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, base_axis, drawing, path, tag, text, value_axis

TICKS: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
DOTS: Final = (50.0, 90.0, 99.0, 99.9)
LAST: Final = 0.2
"""How far beyond the last countable percentile the largest value is drawn, in powers of ten."""


def draw_distribution(figure: Distribution) -> Markup:
    """The figure as SVG."""
    values = [point.value for series in figure.series for point in series.percentiles]
    values += [limit.value for limit in figure.limits]
    y = value_scale(values, HEIGHT - BOTTOM, TOP)
    widest = max((_nines(100.0, series.count) for series in figure.series), default=1.0)
    x = Scale(low=0, high=max(widest, 1.0), start=LEFT, end=WIDTH - RIGHT, ticks=())
    ticks = [(x.place(_nines(p, 0)), f"{p:g}") for p in TICKS if _nines(p, 0) <= x.high]
    parts = value_axis(y, figure.unit) + base_axis(ticks, "percentile, log scale")
    for limit in figure.limits:
        parts += _limit(limit, figure.unit, x, y)
    for index, series in enumerate(figure.series):
        parts += _series(series, index, figure.unit, x, y)
    return drawing(figure.title, _said(figure), parts)


def _nines(percent: float, count: int) -> float:
    """How many nines a percentile has: 0 at the smallest, 1 at 90 %, 2 at 99 %; the largest value has its own place."""
    if percent >= 100.0:
        return math.log10(max(count, 1)) + LAST
    return -math.log10(1 - percent / 100)


def _series(series: Series, index: int, unit: str, x: Scale, y: Scale) -> list[Markup]:
    points = [
        (x.place(_nines(point.percent, series.count)), y.place(point.value), point) for point in series.percentiles
    ]
    parts = [path([(left, top) for left, top, _ in points], class_=f"line s{index % 6}")]
    for left, top, point in points:
        if point.percent in DOTS or point.percent == 100.0:
            name = "largest" if point.percent == 100.0 else f"p{point.percent:g}"
            told = tag("title", f"{series.label}, {name}: {quantity(point.value, unit)}")
            parts.append(tag("circle", told, cx=left, cy=top, r=3, class_=f"dot s{index % 6}"))
    return parts


def _limit(limit: Limit, unit: str, x: Scale, y: Scale) -> list[Markup]:
    top = y.place(limit.value)
    parts = [tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top, y2=top, class_="limit")]
    if limit.percent is not None:
        left = x.place(_nines(limit.percent, 0))
        parts.append(tag("line", x1=left, x2=left, y1=top - 5, y2=top + 5, class_="limit-at"))
    parts.append(text(f"{limit.label}: {quantity(limit.value, unit)}", LEFT + 4, top - 4, kind="limit-label"))
    return parts


def _said(figure: Distribution) -> str:
    return " ".join(
        f"{series.label}: {number(series.count)} values, median {quantity(series.at(50.0), figure.unit)}, "
        f"p99 {quantity(series.at(99.0), figure.unit)}, largest {quantity(series.at(100.0), figure.unit)}."
        for series in figure.series
    )
