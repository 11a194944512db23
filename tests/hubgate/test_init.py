"""`hubgate init`: what it writes is what its readers understand, and nothing is written over."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from harness.cassettes import Receive, load
from harness.protocols import EventKind, Submission
from harness.protocols.known import protocol_of
from hubgate.cli import cli

SCENARIO = "test_hubgate.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["init", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_workflow_runs_the_gate_and_keeps_what_it_found(folder: Path) -> None:
    assert init("ci") == "wrote .github/workflows/hubgate.yml\n"
    workflow = yaml.safe_load((folder / ".github/workflows/hubgate.yml").read_text())
    steps = workflow["jobs"]["gate"]["steps"]
    assert "hubgate gate --profile quick" in [step.get("run") for step in steps]
    always = [step["name"] for step in steps if step.get("if") == "always()"]
    assert always == ["Summary and annotations", "Keep the report"]
    assert 'cat out/latest/summary.md >> "$GITHUB_STEP_SUMMARY"' in steps[4]["run"]


def test_gitlab_gets_its_own_with_the_targets_that_were_given(folder: Path) -> None:
    init("ci", "--gitlab", "--legacy", "ws://hub:8765", "--candidate", "http://s:8000", "--redis", "redis://r/1")
    job = yaml.safe_load((folder / ".gitlab-ci.yml").read_text())["hubgate"]
    wanted = "hubgate gate --profile quick --legacy http://hub:8765 --candidate http://s:8000 --redis redis://r/1"
    assert job["script"][1] == wanted
    assert job["artifacts"]["reports"] == {"junit": "out/latest/junit.xml"}


def test_a_file_that_is_there_stays_as_it_is(folder: Path) -> None:
    (folder / ".gitlab-ci.yml").write_text("mine: true\n")
    result = CliRunner().invoke(cli, ["init", "ci", "--gitlab"])
    assert (result.exit_code, (folder / ".gitlab-ci.yml").read_text()) == (1, "mine: true\n")
    assert "is there already" in result.output


def test_a_candidate_without_its_redis_is_refused(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["init", "ci", "--candidate", "http://s:8000"])
    assert result.exit_code == 2
    assert "--candidate needs --redis" in result.output


def test_the_first_scenario_is_python_that_pytest_collects(folder: Path) -> None:
    init("scenario")
    names = compile((folder / SCENARIO).read_text(), SCENARIO, "exec").co_names
    assert "test_a_job_is_completed" in names


def test_a_protocol_is_begun_from_a_recording(folder: Path) -> None:
    recording = Path(__file__).parents[2] / "scenarios" / "cassettes" / "cancel-pending.jsonl"
    assert init("protocol", str(recording), "mine.toml") == "wrote mine.toml\n"
    told, ours = protocol_of(str(folder / "mine.toml")), protocol_of("hub")
    job = Submission(service="image", payload={"prompt": "a cat"}, priority=5)
    assert told.submit(job, at=1.5) == ours.submit(job, at=1.5)
    assert told.cancel("a", "why", 1.5) == {"type": "cancel_job", "job_id": "a", "reason": "why"}
    frames = [event.content for event in load(recording).events if isinstance(event, Receive)]
    kinds = {event.kind for frame in frames if (event := told.event_of(frame))}
    assert kinds == {EventKind.ACCEPTED, EventKind.CANCELLED}
