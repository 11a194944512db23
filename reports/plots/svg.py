"""SVG elements as safe text, and the frame that plots share."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from markupsafe import Markup, escape

from reports.plots.scale import Scale, axis_unit, tick_words

WIDTH: Final = 460
HEIGHT: Final = 250
LEFT: Final = 48
RIGHT: Final = 12
TOP: Final = 18
BOTTOM: Final = 36
MOST_POINTS: Final = 240
"""A line with more points is drawn by the lowest and highest of each stretch, so that no spike is lost."""

_HUB: Final = re.compile(r"\bhub\b")
Places = Sequence[tuple[float, float]]


def tag(name: str, content: str | Markup = "", /, **attributes: object) -> Markup:
    """One element. `class_` and `text_anchor` become `class` and `text-anchor`; content and attributes are escaped."""
    words = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{}{}>{}</{}>").format(Markup(name), words, content, Markup(name))  # noqa: S704 - names are ours


def drawing(
    title: str,
    description: str,
    parts: Iterable[Markup],
    *,
    height: float = HEIGHT,
    data: Mapping[str, object] | None = None,
) -> Markup:
    """The whole picture; title and description are what a screen reader says."""
    return tag(
        "svg",
        tag("title", title) + tag("desc", description) + Markup("").join(parts),
        viewBox=f"0 0 {WIDTH} {_short(height)}",
        role="img",
        class_="plot",
        **(data or {}),
    )


def styles(labels: Iterable[str]) -> list[str]:
    """The class of each line by its label: the hub is grey beside whatever else is drawn, and the stack is blue."""
    numbers = itertools.count()
    return ["hub" if _HUB.search(label) else f"s{next(numbers) % 6}" for label in labels]


def scales(x: Scale, x_unit: str, y: Scale, unit: str) -> dict[str, object]:
    """What a script needs to read values back from places."""
    told = {
        name: f"{one.low:g} {one.high:g} {one.start:g} {one.end:g} {int(one.log)}" for name, one in (("x", x), ("y", y))
    }
    return {"data_x": told["x"], "data_y": told["y"], "data_x_unit": x_unit, "data_unit": unit}


def path(places: Places, **attributes: object) -> Markup:
    """A line through the places."""
    steps = " ".join(
        f"{'M' if index == 0 else 'L'}{_short(x)} {_short(y)}" for index, (x, y) in enumerate(thinned(places))
    )
    return tag("path", d=steps, **attributes)


def thinned(places: Places) -> Places:
    """At most about MOST_POINTS places: of each stretch its first, its lowest and its highest."""
    if len(places) <= MOST_POINTS:
        return places
    size = -(-len(places) * 3 // MOST_POINTS)
    kept: list[tuple[float, float]] = []
    for begin in range(0, len(places), size):
        stretch = places[begin : begin + size]
        chosen = {stretch[0], min(stretch, key=lambda place: place[1]), max(stretch, key=lambda place: place[1])}
        kept += sorted(chosen)
    return [*kept, places[-1]]


def text(words: str, x: float, y: float, *, anchor: str = "start", kind: str | None = None) -> Markup:
    """A piece of text."""
    return tag("text", words, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=kind)


def value_axis(scale: Scale, unit: str) -> list[Markup]:
    """Horizontal grid lines with their numbers, and the unit above them."""
    divisor, name = axis_unit(unit, scale)
    parts = [text(name + (", log" if scale.log else ""), 2, 10, kind="axis")]
    for tick in scale.ticks:
        y = scale.place(tick)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(text(tick_words(tick, divisor), LEFT - 5, y + 4, anchor="end"))
    return parts


def base_axis(ticks: Iterable[tuple[float, str]], title: str) -> list[Markup]:
    """Numbers below the plot and what they are."""
    bottom = HEIGHT - BOTTOM
    parts = [text(title, WIDTH - RIGHT, HEIGHT - 4, anchor="end", kind="axis")]
    for x, words in ticks:
        parts.append(tag("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="tick"))
        last = x + 4 * len(words) > WIDTH
        parts.append(text(words, WIDTH if last else x, bottom + 16, anchor="end" if last else "middle"))
    return parts


def _short(value: object) -> str | Markup:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return escape(value)
