from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.results import Chart, Distribution, Limit, Line, Mark, Series, Timeline, TimelineEntry
from reports.plots import draw_chart, draw_distribution, draw_timeline
from reports.plots.scale import linear, logarithmic, tight, value_scale
from reports.plots.svg import HEIGHT, MOST_POINTS, WIDTH, styles, thinned
from reports.plots.timeline import Hold, holds, kept

finite = st.floats(min_value=-1e12, max_value=1e12)
positive = st.floats(min_value=1e-6, max_value=1e9)
many = st.lists(finite, min_size=1, max_size=40)


@settings(deadline=None)
@given(many, st.booleans())
def test_a_linear_scale_holds_every_value_between_its_ends(values: list[float], from_zero: bool) -> None:
    for scale in (linear(values, 0, 100, from_zero=from_zero), tight(values, 0, 100)):
        assert all(0 <= scale.place(value) <= 100 for value in values)
        assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
        assert len(scale.ticks) <= 14


@settings(deadline=None)
@given(st.lists(positive, min_size=1, max_size=40))
@example([10.0**power for power in range(-6, 10)])
@example([9.999999999999999e-06])
@example([1.0000000000000001e-05])
def test_a_logarithmic_scale_holds_every_value_and_keeps_their_order(values: list[float]) -> None:
    scale = logarithmic(values, 200, 10)
    assert scale.low <= min(values)
    assert max(values) <= scale.high * 1.0000001
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places, reverse=True)
    assert len(scale.ticks) >= 2


def test_values_of_very_different_size_are_drawn_on_a_logarithmic_scale() -> None:
    assert value_scale([1, 5, 500], 0, 1).log
    assert not value_scale([10, 50], 0, 1).log
    assert not value_scale([0, 500], 0, 1).log


@settings(deadline=None)
@given(st.lists(st.floats(0, 1000), min_size=MOST_POINTS + 1, max_size=3000))
def test_a_thinned_line_keeps_its_ends_and_its_extremes(heights: list[float]) -> None:
    places = [(float(x), y) for x, y in enumerate(heights)]
    kept_places = thinned(places)
    assert len(kept_places) <= MOST_POINTS * 1.5
    assert kept_places[0] == places[0]
    assert kept_places[-1] == places[-1]
    assert max(y for _, y in kept_places) == max(heights)
    assert min(y for _, y in kept_places) == min(heights)
    assert [x for x, _ in kept_places] == sorted(x for x, _ in kept_places)


def within_the_frame(drawn: str) -> bool:
    """Whether every place that is drawn at is inside the drawing."""
    across, down = [], []
    for element in ET.fromstring(drawn).iter():
        across += [float(element.get(name, "0")) for name in ("x", "x1", "x2", "cx")]
        down += [float(element.get(name, "0")) for name in ("y", "y1", "y2", "cy")]
        steps = [float(number) for number in re.findall(r"-?[\d.]+", element.get("d", ""))]
        across, down = across + steps[::2], down + steps[1::2]
    return all(0 <= x <= WIDTH for x in across) and all(0 <= y <= HEIGHT for y in down)


def test_the_rule_sees_what_is_drawn_outside() -> None:
    assert not within_the_frame('<svg><path d="M10 10L999 10"/></svg>')
    assert not within_the_frame('<svg><circle cx="1" cy="-2"/></svg>')


@settings(deadline=None)
@given(st.lists(positive, max_size=60), st.lists(positive, max_size=5))
def test_any_distribution_can_be_drawn_within_its_frame(values: list[float], others: list[float]) -> None:
    figure = Distribution(
        id="d",
        title="t",
        unit="ms",
        series=(Series.of_values("a", values), Series.of_values("b", others)),
        limits=(Limit(value=20, label="limit", percent=99),),
    )
    drawn = str(draw_distribution(figure))
    assert within_the_frame(drawn)


@settings(deadline=None)
@given(st.lists(st.tuples(positive, finite), max_size=60))
def test_any_chart_can_be_drawn_within_its_frame(points: list[tuple[float, float]]) -> None:
    figure = Chart(
        id="c", title="t", unit="jobs", lines=(Line.of("a", points),), marks=(Mark(x=3, label="m", until=4),)
    )
    drawn = str(draw_chart(figure))
    assert within_the_frame(drawn)


@settings(deadline=None)
@given(st.lists(positive, min_size=1, max_size=500), st.sampled_from([0.0, 50.0, 90.0, 99.0, 100.0]))
def test_a_percentile_is_a_value_that_was_seen_and_has_that_share_at_or_below_it(
    values: list[float], percent: float
) -> None:
    value = Series.of_values("a", values).at(percent)
    assert value in values
    below = sum(other <= value for other in values)
    assert below >= math.floor(percent / 100 * len(values))


def test_a_series_of_nothing_has_no_percentiles() -> None:
    assert Series.of_values("a", []).at(50.0) is None
    assert Series.of_values("a", [math.inf, math.nan]).count == 0


def entry(at: float, kind: str, worker: str | None = None) -> TimelineEntry:
    return TimelineEntry(at_ms=at, source="redis", kind=kind, worker_id=worker)


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ([("claimed", "a"), ("completed", "a")], [Hold("a", 0, 1, None)]),
        ([("claimed", "a"), ("killed", "a"), ("lease_expired", "a")], [Hold("a", 0, 2, 1)]),
        ([("claimed", "a"), ("claimed", "b"), ("completed", "b")], [Hold("b", 1, 2, None), Hold("a", 0, 2, None)]),
        ([("claimed", "a"), ("stopped", "a"), ("continued", "a"), ("failed", "a")], [Hold("a", 0, 3, None)]),
        ([("killed", "a"), ("completed", "b")], []),
    ],
)
def test_a_hold_lasts_from_the_claim_to_what_ends_it(kinds: list[tuple[str, str]], found: list[Hold]) -> None:
    assert holds(tuple(entry(at, kind, worker) for at, (kind, worker) in enumerate(kinds))) == found


def test_a_long_life_is_drawn_by_its_beginning_and_its_end() -> None:
    entries = tuple(entry(at, "progress", "w") for at in range(5000))
    assert [one.at_ms for one in kept(entries)] == [*range(30), *range(4970, 5000)]
    life = Timeline(id="l", job_id="j", check="c", trouble="t", entries=entries)
    assert len(draw_timeline(life)) < 20_000


def test_a_life_of_nothing_can_be_drawn() -> None:
    assert "<svg" in draw_timeline(Timeline(id="l", job_id="j", check="c", trouble="t", entries=()))


def test_the_hub_is_grey_wherever_it_stands_and_what_is_beside_it_begins_with_blue() -> None:
    assert styles(["simulator of the hub", "API", "hub, p99", "new stack"]) == ["hub", "s0", "hub", "s1"]
    drawn = str(draw_chart(Chart(id="a", title="t", unit="MB", lines=(Line.of("hub", [(0, 1)]),))))
    assert 'class="line hub"' in drawn
