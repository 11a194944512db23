"""Lines over time or over another quantity, and distributions over percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from harness.results import Chart, Distribution, Limit, Line, Series
from harness.results.formatting import number, quantity
from reports.plots.scale import LOG_FROM, Scale, logarithmic, tight, value_scale
from reports.plots.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    base_axis,
    drawing,
    path,
    scales,
    styles,
    tag,
    text,
    value_axis,
)

TICKS: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
DOTS: Final = (50.0, 90.0, 99.0, 99.9)
LAST: Final = 0.2
"""How far beyond the last countable percentile the largest value is drawn, in powers of ten."""


def draw_chart(figure: Chart) -> Markup:
    """Lines over time, or over another quantity."""
    points = [point for line in figure.lines for point in line.points]
    y = value_scale([p.y for p in points] + [limit.value for limit in figure.limits], HEIGHT - BOTTOM, TOP)
    x = _base([p.x for p in points] + [mark.x for mark in figure.marks], over_time=figure.x_unit in {"s", "min"})
    title = f"{figure.x_title}, {figure.x_unit}" + (", log" if x.log else "")
    parts = value_axis(y, figure.unit) + base_axis([(x.place(tick), number(tick)) for tick in x.ticks], title)
    parts += [part for mark in figure.marks for part in _mark(mark.x, mark.until, mark.label, x)]
    parts += [part for limit in figure.limits for part in _limit(limit, figure.unit, y)]
    for line, style in zip(figure.lines, styles(line.label for line in figure.lines), strict=True):
        parts += _line(line, style, figure, x, y)
    return drawing(figure.title, _describe_lines(figure), parts, data=scales(x, figure.x_unit, y, figure.unit))


def _base(values: Sequence[float], *, over_time: bool) -> Scale:
    positive = [value for value in values if value > 0]
    wide = positive and len(positive) == len(values) and max(positive) / min(positive) >= LOG_FROM
    if wide and not over_time:
        return logarithmic(positive, LEFT, WIDTH - RIGHT)
    return tight(values, LEFT, WIDTH - RIGHT)


def _line(line: Line, style: str, figure: Chart, x: Scale, y: Scale) -> list[Markup]:
    places = [(x.place(point.x), y.place(point.y)) for point in line.points]
    parts = [path(places, class_=f"line {style}", data_label=line.label)]
    if len(line.points) <= 30:
        for point, (left, top) in zip(line.points, places, strict=True):
            told = tag("title", f"{line.label}: {quantity(point.y, figure.unit)} at {quantity(point.x, figure.x_unit)}")
            parts.append(tag("circle", told, cx=left, cy=top, r=3, class_=f"dot {style}"))
    return parts


def _mark(at: float, until: float | None, label: str, x: Scale) -> list[Markup]:
    left = x.place(at)
    told = tag("title", label)
    if until is None:
        return [tag("line", told, x1=left, x2=left, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark")]
    right = max(x.place(until), left + 1)
    return [tag("rect", told, x=left, y=TOP, width=right - left, height=HEIGHT - BOTTOM - TOP, class_="lasting")]


def _describe_lines(figure: Chart) -> str:
    told = []
    for line in figure.lines:
        if line.points:
            low, high = min(p.y for p in line.points), max(p.y for p in line.points)
            told.append(f"{line.label}: from {quantity(low, figure.unit)} to {quantity(high, figure.unit)}.")
    return " ".join(told) or "Nothing was measured."


def draw_distribution(figure: Distribution) -> Markup:
    """A latency distribution over a logarithmic percentile axis: as much room for the slowest 1 % as for the rest."""
    values = [point.value for series in figure.series for point in series.percentiles]
    values += [limit.value for limit in figure.limits]
    y = value_scale(values, HEIGHT - BOTTOM, TOP)
    widest = max((_nines(100.0, series.count) for series in figure.series), default=1.0)
    x = Scale(low=0, high=max(widest, 1.0), start=LEFT, end=WIDTH - RIGHT, ticks=())
    ticks = [(x.place(_nines(p, 0)), f"{p:g}") for p in TICKS if _nines(p, 0) <= x.high]
    parts = value_axis(y, figure.unit) + base_axis(ticks, "percentile, log scale")
    parts += [part for limit in figure.limits for part in _limit(limit, figure.unit, y, x)]
    for series, style in zip(figure.series, styles(series.label for series in figure.series), strict=True):
        parts += _series(series, style, figure.unit, x, y)
    return drawing(figure.title, _describe_series(figure), parts, data=scales(x, "percentile", y, figure.unit))


def _nines(percent: float, count: int) -> float:
    """How many nines a percentile has: 0 at the smallest, 1 at 90 %, 2 at 99 %; the largest value has its own place."""
    if percent >= 100.0:
        return math.log10(max(count, 1)) + LAST
    return -math.log10(1 - percent / 100)


def _series(series: Series, style: str, unit: str, x: Scale, y: Scale) -> list[Markup]:
    points = [
        (x.place(_nines(point.percent, series.count)), y.place(point.value), point) for point in series.percentiles
    ]
    parts = [path([(left, top) for left, top, _ in points], class_=f"line {style}", data_label=series.label)]
    for left, top, point in points:
        if point.percent in DOTS or point.percent == 100.0:
            name = "largest" if point.percent == 100.0 else f"p{point.percent:g}"
            told = tag("title", f"{series.label}, {name}: {quantity(point.value, unit)}")
            parts.append(tag("circle", told, cx=left, cy=top, r=3, class_=f"dot {style}"))
    return parts


def _limit(limit: Limit, unit: str, y: Scale, percentiles: Scale | None = None) -> list[Markup]:
    """A line across the plot; with a percentile axis, a tick at the percentile that the limit is for."""
    top = y.place(limit.value)
    parts = [tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top, y2=top, class_="limit")]
    if percentiles is not None and limit.percent is not None:
        left = percentiles.place(_nines(limit.percent, 0))
        parts.append(tag("line", x1=left, x2=left, y1=top - 5, y2=top + 5, class_="limit-at"))
    return [*parts, text(f"{limit.label}: {quantity(limit.value, unit)}", LEFT + 4, top - 4, kind="limit-label")]


def _describe_series(figure: Distribution) -> str:
    return " ".join(
        f"{series.label}: {number(series.count)} values, median {quantity(series.at(50.0), figure.unit)}, "
        f"p99 {quantity(series.at(99.0), figure.unit)}, largest {quantity(series.at(100.0), figure.unit)}."
        for series in figure.series
    )
