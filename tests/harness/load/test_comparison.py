from __future__ import annotations

import pytest

from harness.load.comparison import TURNS, compare_turns, ratio_of
from harness.load.results import LoadSummary
from harness.results import Verdict
from harness.targets import Side


def turns(*values: dict[str, float], verdict: Verdict = Verdict.PASS) -> list[LoadSummary]:
    return [
        LoadSummary(
            side=side,
            folder=f"turn-{number}",
            rate=1,
            verdict=verdict,
            reason="",
            submitted=1,
            ended=1,
            values=one,
        )
        for number, (side, one) in enumerate(zip(TURNS, values, strict=True))
    ]


def test_the_turns_are_a_b_b_a() -> None:
    assert TURNS == (Side.HUB, Side.STACK, Side.STACK, Side.HUB)


def test_a_ratio_is_told_with_the_spread_of_all_pairs() -> None:
    found = compare_turns(turns({"p99": 10}, {"p99": 4}, {"p99": 9}, {"p99": 40}))
    ratio = found.ratios["p99"]
    assert (ratio.hub, ratio.stack) == ([10, 40], [4, 9])
    assert ratio.ratio == pytest.approx(6 / 20)
    assert (ratio.low, ratio.high) == (pytest.approx(0.1), pytest.approx(0.9))
    assert ratio.certain


def test_a_spread_across_one_is_not_certain() -> None:
    ratio = ratio_of([10, 20], [15, 15])
    assert ratio is not None
    assert not ratio.certain


def test_what_only_one_side_has_is_not_compared() -> None:
    found = compare_turns(turns({"a": 1}, {"b": 1}, {"b": 1}, {"a": 1}))
    assert found.ratios == {}
    assert ratio_of([0.0, 1.0], [1.0]) is None


def test_one_turn_that_fails_fails_the_comparison() -> None:
    every = turns({"a": 1}, {"a": 1}, {"a": 1}, {"a": 1})
    every[2] = turns({}, {}, {}, {}, verdict=Verdict.FAIL)[2]
    assert compare_turns(every).verdict is Verdict.FAIL
