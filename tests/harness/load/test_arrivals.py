from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load.arrivals import Arrivals, Plan, Shape, Spacing

plans = st.builds(
    Plan,
    shape=st.sampled_from(Shape),
    rate=st.floats(0.5, 80),
    duration_s=st.floats(1, 30),
    arrivals=st.sampled_from(Spacing),
    seed=st.integers(0, 1000),
)


def test_a_steady_plan_is_evenly_spaced() -> None:
    moments = list(Plan(rate=10, duration_s=2).moments())
    assert len(moments) == 20
    assert all(later - sooner == pytest.approx(0.1) for sooner, later in itertools.pairwise(moments))


@settings(deadline=None)
@given(plans)
def test_moments_rise_and_lie_within_the_load(plan: Plan) -> None:
    moments = list(plan.moments())
    assert moments == sorted(moments)
    assert all(0 <= moment <= plan.duration_s for moment in moments)


@settings(deadline=None)
@given(plans, st.integers(1, 5))
def test_the_parts_of_a_plan_are_the_plan(plan: Plan, parts: int) -> None:
    shared = [moment for part in range(parts) for moment in plan.moments(part, parts)]
    assert sorted(shared) == list(plan.moments())


@settings(deadline=None)
@given(plans)
def test_an_even_plan_has_as_many_arrivals_as_the_area_under_its_rate(plan: Plan) -> None:
    steps = 2000
    area = sum(plan.rate_at((step + 0.5) * plan.duration_s / steps) for step in range(steps)) * plan.duration_s / steps
    count = len(list(plan.moments()))
    if plan.arrivals is Spacing.EVEN:
        assert count == pytest.approx(area, abs=1 + area * 0.01)
        assert abs(count - plan.jobs) <= 1
    else:
        assert count == plan.jobs


def test_a_ramp_climbs() -> None:
    moments = list(Plan(shape=Shape.RAMP, rate=40, duration_s=10).moments())
    assert sum(1 for moment in moments if moment < 5) < len(moments) / 3


def test_a_spike_jumps_to_the_rate_and_falls_back() -> None:
    plan = Plan(shape=Shape.SPIKE, rate=40, duration_s=10)
    assert [plan.rate_at(second) for second in (1, 5, 9)] == [10, 40, 10]


def test_a_migration_goes_to_none_and_back_to_all() -> None:
    plan = Plan(shape=Shape.MIGRATION, rate=1, duration_s=100)
    assert [plan.legacy_share_at(second) for second in (0, 10, 50, 100)] == [1, 1, 0, 1]
    assert 0 < plan.legacy_share_at(30) < 1


def test_arrivals_given_back_are_taken_next() -> None:
    arrivals = Arrivals.of(Plan(rate=1, duration_s=3), start_at=100)
    first, second = arrivals.take(), arrivals.take()
    assert (first, second) == (100.5, 101.5)
    arrivals.give_back(100.5)
    assert [arrivals.take(), arrivals.take(), arrivals.take()] == [100.5, 102.5, None]
    assert not arrivals.used_up, "three are in hand"
    for _ in range(3):
        arrivals.use()
    assert arrivals.used_up


def test_late_arrivals_are_not_dropped() -> None:
    arrivals = Arrivals.of(Plan(rate=100, duration_s=1), start_at=0)
    taken = []
    while (moment := arrivals.take()) is not None:
        taken.append(moment)
    assert len(taken) == 100
