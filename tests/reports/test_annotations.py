from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from reports import code_quality, workflow_commands
from tests.reports.samples import fails, inconclusive, passes

LINE = re.compile(r"::(error|warning|notice) ([^:]*)::(.+)")


def test_a_run_that_passes_says_nothing(tmp_path: Path) -> None:
    assert [line for line in workflow_commands(passes(), tmp_path) if line.startswith("::error")] == []


def test_each_failed_criterion_and_each_difference_is_one_line(tmp_path: Path) -> None:
    lines = workflow_commands(fails(), tmp_path)
    assert all(LINE.fullmatch(line) for line in lines)
    assert any("title=fail%3A Claims are fast" in line for line in lines)
    assert any("happy-path" in line and "job_accepted" in line for line in lines)


def test_what_could_not_be_told_is_a_warning(tmp_path: Path) -> None:
    assert any(line.startswith("::warning") for line in workflow_commands(inconclusive(), tmp_path))


def test_a_difference_stands_at_its_frames_line_of_the_cassette(tmp_path: Path) -> None:
    run = fails()
    [finding] = [
        found for row in run.matrix if row.name == "happy-path" for cell in row.cells for found in cell.findings
    ][:1]
    frames = [
        {"cassette": 1, "scenario": "happy-path"},
        {"at": 0, "actor": "somebody", "event": "receive", "message": {"type": finding.message_type}},
        {"at": 1, "actor": finding.actor, "event": "receive", "message": {"type": finding.message_type}},
    ]
    cassettes = tmp_path / "scenarios" / "cassettes"
    cassettes.mkdir(parents=True)
    (cassettes / "happy-path.jsonl").write_text("\n".join(map(json.dumps, frames)))
    lines = [line for line in workflow_commands(run, tmp_path) if "title=happy-path" in line]
    assert any("file=scenarios/cassettes/happy-path.jsonl,line=3," in line for line in lines)
    found = [one["location"] for one in json.loads(code_quality(run, tmp_path)) if "happy-path" in one["description"]]
    assert {"path": "scenarios/cassettes/happy-path.jsonl", "lines": {"begin": 3}} in found


def test_a_declaration_that_has_expired_is_marked_where_it_stands(tmp_path: Path) -> None:
    run = msgspec.structs.replace(passes(), problems=("The difference old-one has expired.",))
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "deviations.toml").write_text('[[deviation]]\nname = "old-one"\n')
    assert workflow_commands(run, tmp_path) == [
        "::warning file=scenarios/deviations.toml,line=2,title=hubgate::The difference old-one has expired."
    ]


def test_text_of_others_starts_no_command_of_its_own(tmp_path: Path) -> None:
    run = msgspec.structs.replace(passes(), problems=("a%\n::error::b",))
    assert workflow_commands(run, tmp_path) == ["::warning title=hubgate::a%25%0A::error::b"]


def test_gitlab_gets_a_severity_a_place_and_a_fingerprint_of_each(tmp_path: Path) -> None:
    found = json.loads(code_quality(fails(), tmp_path))
    assert {one["severity"] for one in found} == {"major"}
    assert {one["location"]["path"] for one in found} == {".gitlab-ci.yml"}
    assert len({one["fingerprint"] for one in found}) == len(found) > 1
    assert any("Claims are fast" in one["description"] for one in found)
