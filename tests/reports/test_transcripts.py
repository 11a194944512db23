from __future__ import annotations

import msgspec
import pytest

from harness.results import (
    Cell,
    CellVerdict,
    Column,
    DeclaredBy,
    Finding,
    FindingKind,
    Row,
    ScenarioRow,
    TranscriptEvent,
)
from reports.transcripts import MOST_ROWS, ShownTranscript, State, transcript

SAID = TranscriptEvent(at=1, event="receive", message={"type": "error", "error": "no"})
EXCUSE = DeclaredBy(name="one", reason="r", owner="o", expires="2027-01-01")


def finding(row: int | None, *, noise: bool = False, excuse: DeclaredBy | None = None) -> Finding:
    return Finding(
        kind=FindingKind.CHANGED, actor="c", sentence="s", field="error", row=row, noise=noise, declared=excuse
    )


def shown(rows: list[Row], *findings: Finding) -> ShownTranscript:
    cell = Cell(column=Column.HUB, verdict=CellVerdict.SAME, rows=tuple(rows), findings=findings)
    return transcript(ScenarioRow(name="s", about="a", cells=(cell,)), cell)


BOTH = Row(actor="c", expected=SAID, observed=SAID)


@pytest.mark.parametrize(
    ("row", "findings", "state"),
    [
        (BOTH, [], State.SAME),
        (Row(actor="c", observed=SAID), [], State.ALONE),
        (BOTH, [finding(0, noise=True)], State.NOISE),
        (BOTH, [finding(0, excuse=EXCUSE)], State.DECLARED),
        (BOTH, [finding(0, excuse=EXCUSE, noise=True)], State.NOISE),
        (BOTH, [finding(0, excuse=EXCUSE), finding(0), finding(0, noise=True)], State.DIFFERENT),
    ],
)
def test_a_line_stands_as_its_weightiest_finding(row: Row, findings: list[Finding], state: State) -> None:
    (line,) = shown([row], *findings).rows
    assert line.state is state
    assert len(line.notes) == len(findings)


def test_a_reason_that_several_findings_share_is_told_once() -> None:
    other = msgspec.structs.replace(EXCUSE, reason="another")
    told = shown([BOTH], finding(0, excuse=EXCUSE), finding(0, excuse=EXCUSE), finding(0, excuse=other)).rows[0].notes
    assert [note.reason for note in told] == ["r (o, until 2027-01-01)", None, "another (o, until 2027-01-01)"]


@pytest.mark.parametrize(
    ("sentence", "values"), [("It differs.", ("1", '"x"')), ("It is x where the hub has 1.", (None, None))]
)
def test_the_values_are_told_unless_the_sentence_has_them(sentence: str, values: tuple[str | None, str | None]) -> None:
    one = msgspec.structs.replace(finding(0), sentence=sentence, expected=1, observed="x")
    (note,) = shown([BOTH], one).rows[0].notes
    assert (note.expected, note.observed) == values


@pytest.mark.parametrize("row", [None, 7, -1])
def test_a_finding_without_its_line_is_still_told(row: int | None) -> None:
    told = shown([BOTH], finding(row))
    assert len(told.loose) == 1
    assert told.rows[0].state is State.SAME


def test_of_a_long_transcript_the_lines_around_a_difference_are_kept() -> None:
    rows = [msgspec.structs.replace(BOTH, actor=str(number)) for number in range(5000)]
    told = shown(rows, finding(4321))
    assert len(told.rows) <= MOST_ROWS
    assert told.left_out == 5000 - len(told.rows)
    assert {str(number) for number in range(4318, 4325)} <= {line.actor for line in told.rows}
    assert next(line for line in told.rows if line.actor == "4321").state is State.DIFFERENT
