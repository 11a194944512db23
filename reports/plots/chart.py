"""Lines over time, or over another quantity."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.results import Chart, Line
from harness.results.words import number, quantity
from reports.plots.scale import LOG_FROM, Scale, logarithmic, tight, value_scale
from reports.plots.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, base_axis, drawing, path, tag, text, value_axis


def draw_chart(figure: Chart) -> Markup:
    """The figure as SVG."""
    points = [point for line in figure.lines for point in line.points]
    y = value_scale([p.y for p in points] + [limit.value for limit in figure.limits], HEIGHT - BOTTOM, TOP)
    x = _base([p.x for p in points] + [mark.x for mark in figure.marks], over_time=figure.x_unit in {"s", "min"})
    title = f"{figure.x_title}, {figure.x_unit}" + (", log" if x.log else "")
    parts = value_axis(y, figure.unit) + base_axis([(x.place(tick), number(tick)) for tick in x.ticks], title)
    parts += [part for mark in figure.marks for part in _mark(mark.x, mark.until, mark.label, x)]
    for limit in figure.limits:
        top = y.place(limit.value)
        words = f"{limit.label}: {quantity(limit.value, figure.unit)}"
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top, y2=top, class_="limit"))
        parts.append(text(words, LEFT + 4, top - 4, kind="limit-label"))
    for index, line in enumerate(figure.lines):
        parts += _line(line, index, figure, x, y)
    return drawing(figure.title, _said(figure), parts)


def _base(values: Sequence[float], *, over_time: bool) -> Scale:
    positive = [value for value in values if value > 0]
    wide = positive and len(positive) == len(values) and max(positive) / min(positive) >= LOG_FROM
    if wide and not over_time:
        return logarithmic(positive, LEFT, WIDTH - RIGHT)
    return tight(values, LEFT, WIDTH - RIGHT)


def _line(line: Line, index: int, figure: Chart, x: Scale, y: Scale) -> list[Markup]:
    places = [(x.place(point.x), y.place(point.y)) for point in line.points]
    parts = [path(places, class_=f"line s{index % 6}")]
    if len(line.points) <= 30:
        for point, (left, top) in zip(line.points, places, strict=True):
            told = tag("title", f"{line.label}: {quantity(point.y, figure.unit)} at {quantity(point.x, figure.x_unit)}")
            parts.append(tag("circle", told, cx=left, cy=top, r=3, class_=f"dot s{index % 6}"))
    return parts


def _mark(at: float, until: float | None, label: str, x: Scale) -> list[Markup]:
    left = x.place(at)
    told = tag("title", label)
    if until is None:
        return [tag("line", told, x1=left, x2=left, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark")]
    right = max(x.place(until), left + 1)
    return [tag("rect", told, x=left, y=TOP, width=right - left, height=HEIGHT - BOTTOM - TOP, class_="lasting")]


def _said(figure: Chart) -> str:
    told = []
    for line in figure.lines:
        if line.points:
            low, high = min(p.y for p in line.points), max(p.y for p in line.points)
            told.append(f"{line.label}: from {quantity(low, figure.unit)} to {quantity(high, figure.unit)}.")
    return " ".join(told) or "Nothing was measured."
