"""The life of one job: a lane for each who had a hand in it, bars where a worker held it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import msgspec
from markupsafe import Markup

from harness.results import Timeline, TimelineEntry
from harness.results.formatting import quantity
from reports.plots.svg import RIGHT, WIDTH, drawing, tag, text

LANE: Final = 26
NAMES: Final = 116
HEAD: Final = 8
FOOT: Final = 22
LETTING_GO: Final = frozenset({"completed", "failed", "attempt_failed", "released", "lease_expired", "cancelled"})
MOST_ENTRIES: Final = 60
"""Of a longer life the first and the last are drawn."""


class Hold(msgspec.Struct, frozen=True):
    """A worker's hold on the job, from a claim to what ended it; `lame` from where the worker was dead or frozen."""

    worker_id: str
    begin: int
    end: int
    lame: int | None


def draw_timeline(timeline: Timeline) -> Markup:
    """The timeline as SVG. Gaps are drawn by their logarithm: 4 ms and 15 s both stay visible."""
    entries = kept(timeline.entries)
    lanes = {name: index for index, name in enumerate(dict.fromkeys(_lane(entry) for entry in entries))}
    places = _places(entries)
    height = HEAD + LANE * max(len(lanes), 1) + FOOT
    parts = [part for name, index in lanes.items() for part in _lane_parts(name, index)]
    for hold in holds(entries):
        parts += _hold(hold, lanes, places)
    for entry, x in zip(entries, places, strict=True):
        y = HEAD + LANE * (lanes[_lane(entry)] + 0.5)
        told = tag("title", f"{entry.kind} at {quantity(entry.at_ms - entries[0].at_ms, 'ms')} {entry.note}".strip())
        parts.append(tag("circle", told, cx=x, cy=y, r=5 if entry.wrong else 4, class_=_look(entry)))
    parts += _times(entries, places, height)
    return drawing(f"Timeline of {timeline.job_id}", timeline.trouble, parts, height=height)


def kept(entries: tuple[TimelineEntry, ...]) -> tuple[TimelineEntry, ...]:
    """The entries that are drawn and listed."""
    half = MOST_ENTRIES // 2
    return entries if len(entries) <= MOST_ENTRIES else entries[:half] + entries[-half:]


def holds(entries: tuple[TimelineEntry, ...]) -> list[Hold]:
    """Who held the job from which entry to which, by their index; a hold that nothing ended lasts to the last entry."""
    found: list[Hold] = []
    begun: dict[str, int] = {}
    lame: dict[str, int] = {}
    for index, entry in enumerate(entries):
        worker = entry.worker_id
        if worker is None:
            continue
        if entry.kind == "claimed":
            begun.setdefault(worker, index)
        elif entry.kind in {"killed", "stopped"} and worker in begun:
            lame.setdefault(worker, index)
        elif entry.kind == "continued":
            lame.pop(worker, None)
        elif entry.kind in LETTING_GO and worker in begun:
            found.append(Hold(worker, begun.pop(worker), index, lame.pop(worker, None)))
    last = len(entries) - 1
    return found + [Hold(worker, index, last, lame.get(worker)) for worker, index in begun.items()]


def _lane(entry: TimelineEntry) -> str:
    return entry.worker_id or entry.source


def _places(entries: tuple[TimelineEntry, ...]) -> list[float]:
    gaps = [math.log10(1 + max(0.0, after.at_ms - before.at_ms)) + 0.25 for before, after in pairwise(entries)]
    total, room = sum(gaps) or 1.0, WIDTH - RIGHT - NAMES - 20
    return [NAMES + 10 + room * sum(gaps[:index]) / total for index in range(len(entries))]


def _lane_parts(name: str, index: int) -> list[Markup]:
    y = HEAD + LANE * (index + 0.5)
    short = name if len(name) <= 14 else f"{name[:6]}…{name[-7:]}"
    line = tag("line", x1=NAMES, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
    return [line, text(short, NAMES - 6, y + 4, anchor="end")]


def _hold(hold: Hold, lanes: dict[str, int], places: list[float]) -> list[Markup]:
    y = HEAD + LANE * (lanes[hold.worker_id] + 0.5) - 5
    begin, end = places[hold.begin], places[hold.end]
    turn = places[hold.lame] if hold.lame is not None else end
    parts = [tag("rect", tag("title", f"held by {hold.worker_id}"), x=begin, y=y, width=turn - begin, height=10,
                 rx=3, class_="held")]  # fmt: skip
    if hold.lame is not None:
        told = tag("title", f"held by {hold.worker_id}, which was dead or frozen")
        parts.append(tag("rect", told, x=turn, y=y, width=end - turn, height=10, rx=3, class_="held lame"))
    return parts


def _look(entry: TimelineEntry) -> str:
    if entry.wrong:
        return "event wrong"
    return "event fault" if entry.source == "fault" else "event"


def _times(entries: tuple[TimelineEntry, ...], places: list[float], height: float) -> list[Markup]:
    parts, free = [], 0.0
    for entry, x in zip(entries, places, strict=True):
        words = quantity(round(entry.at_ms - entries[0].at_ms), "ms")
        width = 7.5 * len(words)
        left = min(x, WIDTH - RIGHT - width / 2)
        if left - width / 2 >= free:
            parts.append(text(words, left, height - 6, anchor="middle"))
            free = left + width / 2 + 8
    return parts
