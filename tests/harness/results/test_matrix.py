from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results import Cell, CellVerdict, Column, DeclaredBy, Finding, FindingKind, Row, TranscriptEvent
from harness.results.matrix import elided

SEEN = Row(actor="client-a", observed=TranscriptEvent(at=1, event="receive", message={"type": "job_accepted"}))
DECLARED = DeclaredBy(name="one", reason="The hub forgets it.", owner="queue", expires="2027-06-30")


def finding(sentence: str, *, declared: bool = False, noise: bool = False) -> Finding:
    return Finding(
        kind=FindingKind.CHANGED,
        actor="client-a",
        sentence=sentence,
        declared=DECLARED if declared else None,
        noise=noise,
    )


def cell(*findings: Finding, rows: tuple[Row, ...] = (SEEN,)) -> Cell:
    return Cell.judged(Column.STACK_WEBSOCKET, findings=findings, rows=rows, expected_name="hub", observed_name="stack")


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([], CellVerdict.SAME),
        ([finding("a", noise=True)], CellVerdict.SAME),
        ([finding("a", declared=True)], CellVerdict.DECLARED),
        ([finding("a", declared=True), finding("b")], CellVerdict.DIFFERENT),
    ],
)
def test_a_cell_is_judged_by_what_nothing_excuses(findings: list[Finding], verdict: CellVerdict) -> None:
    assert cell(*findings).verdict is verdict


def test_a_side_that_said_nothing_is_not_the_same() -> None:
    assert cell(rows=()).verdict is CellVerdict.INCONCLUSIVE


def test_a_different_cell_tells_the_first_difference_that_nothing_excuses() -> None:
    told = cell(finding("Declared.", declared=True), finding("Renamed."), finding("Gone.")).sentence
    assert told == "Renamed. And 1 more."


def test_a_large_frame_is_cut_and_says_so() -> None:
    frame = TranscriptEvent.of(1, "receive", {"image": "x" * 1_000_000, "items": list(range(5000))})
    assert len(json.dumps(frame.message)) < 3_000
    assert "999,600 characters left out" in frame.message["image"]
    assert frame.message["items"][-1] == {"$elided": {"items": 4800}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@given(json_values)
def test_a_small_frame_is_kept_whole(value: Any) -> None:
    assert elided(value) == value


def test_a_frame_nested_without_end_is_cut() -> None:
    value: Any = "deep"
    for _ in range(500):
        value = [value]
    assert "$elided" in json.dumps(elided(value))
