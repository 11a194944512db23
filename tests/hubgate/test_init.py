"""`hubgate init`: what it writes is what its readers understand, and nothing is written over."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import reports
from harness.cassettes import Receive, load
from harness.protocols import EventKind, Submission
from harness.protocols.events import HttpRequest
from harness.protocols.known import protocol_of
from harness.results import Run
from hubgate.cli import cli
from tests.hubgate.test_can_switch import judged
from tests.pages import ROOT, command_of

SCENARIO = "test_hubgate.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["init", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


GIVEN = ("--legacy", "ws://hub:8765", "--candidate", "http://s:8000", "--redis", "redis://r/1")
ON_GITHUB = {"GITHUB_STEP_SUMMARY": "summary.md", "CLIENT_VERSION": "app-5", "STACK_VERSION": "1.1"}


def github(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((folder / ".github/workflows/hubgate.yml").read_text())["jobs"][
        "gate"
    ]["steps"]
    return found


def lines_of(folder: Path) -> list[str]:
    """The shell lines of the file that was written, in the order in which a runner has them."""
    if (folder / ".gitlab-ci.yml").exists():
        job = yaml.safe_load((folder / ".gitlab-ci.yml").read_text())["hubgate"]
        return [*job["script"], *job["after_script"]]
    return [line for step in github(folder) for line in step.get("run", "").splitlines()]


def play(folder: Path, lines: list[str]) -> str:
    """Run shell lines as a runner would, one after the other whatever becomes of each; what they print."""
    environment = os.environ | ON_GITHUB | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    hubgate = f'hubgate() {{ {sys.executable} -m hubgate "$@"; }}'
    done = subprocess.run(
        ["bash", "-c", "\n".join([hubgate, *lines])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def left_by_the_gate(folder: Path, run: Run) -> None:
    reports.write(run, folder / "out" / run.about.id)
    (folder / "out" / "latest").unlink(missing_ok=True)
    (folder / "out" / "latest").symlink_to(run.about.id)


def test_the_workflow_runs_the_gate_and_keeps_what_it_found(folder: Path) -> None:
    assert init("ci") == "wrote .github/workflows/hubgate.yml\n"
    steps = github(folder)
    [judge] = [step["run"] for step in steps if step.get("name") == "Judge"]
    assert judge.startswith('hubgate gate --profile quick --env production --client-version "$CLIENT_VERSION" $(')
    always = [step["name"] for step in steps if step.get("if") == "always()"]
    assert always == ["Summary and annotations", "May it switch?", "Keep the run", "Keep the report"]
    restored, saved = (next(step for step in steps if kind in step.get("uses", "")) for kind in ("restore", "save"))
    assert restored["with"]["key"] == saved["with"]["key"]
    assert restored["with"]["path"] == saved["with"]["path"] == "kept"


def test_gitlab_gets_its_own_with_the_targets_that_were_given(folder: Path) -> None:
    init("ci", "--gitlab", *GIVEN, "--env", "staging")
    job = yaml.safe_load((folder / ".gitlab-ci.yml").read_text())["hubgate"]
    assert job["script"][1].startswith(
        "hubgate gate --profile quick --legacy http://hub:8765 --candidate http://s:8000 --redis redis://r/1"
        ' --env staging --client-version "$CLIENT_VERSION" --stack-version "$STACK_VERSION" $('
    )
    assert job["after_script"][-1] == "hubgate can-switch --env staging kept"
    assert job["artifacts"]["reports"] == {
        "junit": "out/latest/junit.xml",
        "codequality": "gl-code-quality-report.json",
    }


@pytest.mark.parametrize("given", [(), GIVEN])
@pytest.mark.parametrize("where", [(), ("--gitlab",)])
def test_every_line_for_the_shell_is_one_and_every_command_is_accepted(
    folder: Path, where: tuple[str, ...], given: tuple[str, ...]
) -> None:
    init("ci", *where, *given)
    lines = lines_of(folder)
    for baseline in ("", " --baseline kept"):
        for path in ("kept", "out/latest"):
            (folder / path).mkdir(parents=True, exist_ok=True)
        for line in lines:
            typed, _, _ = re.sub(r" \$\(.*\)$", baseline, line).partition(" > ")
            if typed.startswith("hubgate "):
                command, words = command_of(typed)
                command.make_context(command.name, words)
    assert sum(line.startswith("hubgate ") for line in lines) == 3
    subprocess.run(["bash", "-n", "-c", "\n".join(lines)], check=True)


@pytest.mark.parametrize("where", [(), ("--gitlab",)])
def test_what_a_runner_does_after_the_gate_keeps_the_run_and_says_whether_to_switch(
    folder: Path, where: tuple[str, ...]
) -> None:
    init("ci", *where)
    judging = next(number for number, line in enumerate(lines_of(folder)) if line.startswith("hubgate gate"))
    _, baseline = lines_of(folder)[judging].split(" $(")
    assert play(folder, [f"echo $({baseline}"]) == "\n"
    for number, (passing, said) in enumerate([(True, "may switch"), (False, "must not switch")], 1):
        left_by_the_gate(folder, judged(number, "app-5", "1.1", passes=passing))
        assert f"production {said} to stack 1.1." in play(folder, lines_of(folder)[judging + 1 :])
    assert {path.name for path in (folder / "kept").iterdir()} == {"run-1", "run-2"}
    assert play(folder, [f"echo $({baseline}"]) == "--baseline kept\n"
    if where:
        assert json.loads((folder / "gl-code-quality-report.json").read_text())
    else:
        assert "fail" in (folder / "summary.md").read_text()


def test_an_environment_with_a_name_for_a_shell_alone_is_refused(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["init", "ci", "--env", "a; rm"])
    assert (result.exit_code, "is no name of an environment" in result.output) == (2, True)


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


BY_HTTP = """\
{"cassette": 1, "scenario": "http"}
{"at": 0, "actor": "http", "event": "request", "method": "POST", "path": "/api/jobs", "body": \
{"service_required": "image", "payload": {"prompt": "a cat"}, "priority": 5}}
{"at": 1, "actor": "http", "event": "response", "status": 200, "body": {"success": true, "job_id": "j-17"}}
{"at": 2, "actor": "sse", "event": "open", "role": "sse", "path": "/api/jobs/j-17/progress"}
{"at": 3, "actor": "http", "event": "request", "method": "GET", "path": "/api/jobs/j-17"}
{"at": 4, "actor": "http", "event": "response", "status": 200, "body": {"job": {"id": "j-17"}}}
{"at": 5, "actor": "sse", "event": "closed", "code": 1000}
"""


def test_a_protocol_of_requests_is_begun_from_a_recording(folder: Path) -> None:
    (folder / "http.jsonl").write_text(BY_HTTP)
    init("protocol", "http.jsonl", "mine.toml")
    with (folder / "mine.toml").open("a") as file:
        file.write('[[events]]\nkind = "completed"\nwhen = { state = "done" }\n')  # what it cannot tell
    told = protocol_of(str(folder / "mine.toml"))
    job = Submission(service="other", payload={"prompt": "a dog"}, priority=1)
    body = {"service_required": "other", "payload": {"prompt": "a dog"}, "priority": 1}
    assert told.submit(job) == HttpRequest("POST", "/api/jobs", body)
    assert told.ask("a/b") == HttpRequest("GET", "/api/jobs/a%2Fb", None)
    assert told.subscribe("a") == HttpRequest("GET", "/api/jobs/a/progress", None)


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
