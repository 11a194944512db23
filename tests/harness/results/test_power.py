"""The share of mutants that was caught, by room, with an interval."""

from __future__ import annotations

import pytest

from harness.results import Fate, MutantRow, Score, scores
from harness.results.outcomes import wilson


def row(room: str, fate: Fate) -> MutantRow:
    return MutantRow(id="f-1", room=room, file=f"{room}/f.py", line=1, operator="o", diff="-a\n+b", fate=fate)


def test_the_score_leaves_equivalents_out_and_has_an_interval() -> None:
    rows = [row("api", Fate.CAUGHT)] * 8 + [row("queue", Fate.SURVIVED)] * 2 + [row("api", Fate.EQUIVALENT)]
    whole, api, queue = scores(rows)
    assert (whole.room, whole.caught, whole.counted) == ("all", 8, 10)
    assert (api.room, api.share) == ("api", 1)
    assert (queue.room, queue.share) == ("queue", 0)
    # the textbook's figures for 8 of 10
    assert (whole.low, whole.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert whole.describe() == "8 of 10 mutants caught: 80 % (95 % interval: 49 to 94 %)"


def test_a_run_that_could_not_decide_has_caught_nothing() -> None:
    assert Score.of("all", [row("api", Fate.UNDECIDED)]).caught == 0
    assert Score.of("all", [row("api", Fate.UNDECIDED)]).counted == 1


def test_nothing_tried_tells_nothing() -> None:
    assert Score.of("all", []).share == 0
    assert wilson(0, 0) == (0.0, 1.0)
