from __future__ import annotations

import datetime as dt
import re
import shlex
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from harness.parity.deviations import Deviations, View
from harness.results import Cell, Column, Finding, FindingKind, Parts, Row, Run, ScenarioRow, TranscriptEvent, conclude
from harness.toml_files import UnreadableFile
from hubgate.cli import cli
from reports.causes import causes
from tests.reports.samples import about, fails, many_causes, passes

TODAY = dt.date(2026, 11, 24)


def changed(expected: Any, observed: Any, field: str = "result", **more: Any) -> Finding:
    return Finding(kind=FindingKind.CHANGED, actor="a", role="client", sentence=f"a: {field} is wrong.",
                   message_type="complete_job", field=field, expected=expected, observed=observed, **more)  # fmt: skip


def run_with(findings: dict[str, list[Finding]], column: Column = Column.STACK_WEBSOCKET) -> Run:
    row = Row(actor="a", expected=TranscriptEvent.of(0, "receive", {"type": "complete_job"}), observed=None)
    seen = Row(actor="a", observed=TranscriptEvent.of(0, "receive", {"type": "complete_job"}))
    rows = [
        ScenarioRow(name=name, about="", cells=(
            Cell.judged(column, findings=found, rows=[row, seen], expected_name="hub", observed_name="stack"),))
        for name, found in findings.items()
    ]  # fmt: skip
    return conclude(about("quick", 1), Parts(matrix=rows))


def declare(run: Run, folder: Path) -> list[Finding]:
    """The run's findings, marked by what the first card's declaration says once it has a reason and an owner."""
    text = causes(run)[0].declaration
    path = folder / "deviations.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile, match="reason, owner is empty"):
        Deviations.load(path)
    path.write_text(text.replace('reason = ""', 'reason = "wanted"').replace('owner = ""', 'owner = "me"'), "utf-8")
    entries = Deviations.load(path)
    marked = []
    for row in run.matrix:
        for cell in row.cells:
            view = View.FACTS if cell.column is Column.STACK_SSE else View.FRAMES
            marked += entries.declare(cell.findings, row.name, TODAY, view)
    return marked


def test_what_differs_in_one_way_is_one_cause_with_all_its_recordings() -> None:
    one, other = changed(1, 2), changed(1, 2, "status")
    follower = changed(3, 4, "error", follows=0)
    found = causes(run_with({"x": [one, follower], "y": [one, one], "z": [other]}))
    assert [cause.counted for cause in found] == [
        "Stack by WebSocket, 3 times in 2 recordings: x and y; 1 more follows from it.",
        "Stack by WebSocket, once in 1 recording: z.",
    ]


def test_the_first_causes_together_tell_of_all_recordings() -> None:
    wide, hidden, alone = changed(1, 2, "a"), changed(1, 2, "b"), changed(1, 2, "c")
    found = causes(run_with({"x": [wide, hidden], "y": [wide, hidden], "z": [alone]}))
    assert [cause.first.finding.field for cause in found] == ["a", "c", "b"]


def test_what_the_hub_itself_differs_in_comes_last_and_cannot_be_declared() -> None:
    run, hub = run_with({"x": [changed(1, 2)]}), run_with({"x": [changed(3, 4)], "y": [changed(3, 4)]}, Column.HUB)
    found = causes(msgspec.structs.replace(run, matrix=(*hub.matrix, *run.matrix)))
    assert [bool(cause.declaration) for cause in found] == [True, False]


def test_what_is_excused_is_no_cause() -> None:
    assert causes(passes()) == []
    assert causes(run_with({"x": [changed(1, 2, noise=True)]})) == []


@pytest.mark.parametrize("column", [Column.STACK_WEBSOCKET, Column.STACK_SSE])
@pytest.mark.parametrize(
    "finding",
    [
        changed(1, 1.5),
        changed(None, "(absent)"),
        changed(True, False),
        changed("~ a (b) *", '= "x"\n\u007f ü'),
        changed({"b": [1, None], "a": {"ü": '"'}}, []),
        changed("x" * 5000, "y" * 5000 + "!"),
        Finding(kind=FindingKind.MISSING, actor="a", role="client", message_type="complete_job", sentence="Missing.",
                expected={"type": "complete_job", "status": "completed"}),
        Finding(kind=FindingKind.EXTRA, actor="a", role="client", message_type="error", sentence="Extra.",
                observed={"type": "error", "error": "no"}),
        Finding(kind=FindingKind.REORDERED, actor="a", role="client", message_type="error", sentence="Late.",
                field="order"),
    ],
    ids=lambda finding: f"{finding.kind.value} {str(finding.expected)[:9]}",
)  # fmt: skip
def test_a_declaration_covers_the_difference_it_was_copied_from(
    finding: Finding, column: Column, tmp_path: Path
) -> None:
    marked = declare(run_with({"x": [finding]}, column), tmp_path)
    assert [one.declared is not None for one in marked] == [True]


@pytest.mark.parametrize("times", [2, 12])
def test_a_declaration_counts_as_often_as_it_was_seen(times: int, tmp_path: Path) -> None:
    run = run_with({"x": [changed(1, 2, row=at) for at in range(times)], "y": [changed(1, 3)]})
    assert all(one.declared for one in declare(run, tmp_path))


def test_a_declaration_covers_no_other_value(tmp_path: Path) -> None:
    declare(run_with({"x": [changed({"a": "b.c"}, 2)]}), tmp_path)
    entry = Deviations.load(tmp_path / "deviations.toml")
    assert entry.declare([changed({"a": "bxc"}, 2)], "x", TODAY)[0].declared is None
    assert entry.declare([changed({"a": "b.c"}, 2)], "other", TODAY)[0].declared is None


@pytest.mark.parametrize("given", [True, False])
def test_a_command_plays_the_recordings_again(monkeypatch: pytest.MonkeyPatch, *, given: bool) -> None:
    run = fails()
    if given:
        options = ("--candidate", "http://h:1", "--redis", "redis://h/0", "--seed", "7")
        run = msgspec.structs.replace(
            run, about=msgspec.structs.replace(run.about, command=("hubgate", "gate", *options))
        )
    program, *arguments = shlex.split(causes(run)[0].replay)
    assert program == "hubgate"
    assert arguments == (
        ["replay", "scenarios/cassettes/happy-path.jsonl", "--candidate", "http://h:1", "--redis", "redis://h/0"]
        if given
        else ["parity", "happy-path"]
    )
    monkeypatch.chdir(Path(__file__).parents[2])
    command = cli.get_command(click.Context(cli), arguments[0])
    assert command is not None
    assert command.make_context(arguments[0], arguments[1:]).params


def test_a_card_shows_the_field_that_differs_and_counts_the_others() -> None:
    for cause in causes(many_causes()):
        (_, before), (_, after) = cause.frames
        assert before is not None
        assert after is not None
        field = cause.first.finding.field
        assert f'<mark class="different"><i>{field}</i> &#34;wrong&#34;</mark>' in after
        assert len(re.sub("<[^>]*>", "", after)) < 400
