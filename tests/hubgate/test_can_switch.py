"""`hubgate can-switch`: a matrix of versions from kept runs, and an exit status."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from harness.results import Run, Target, at_most, save
from hubgate.cli import cli
from tests.harness.results.test_trend import run


def judged(number: int, clients: str, stack: str, *, passes: bool, environment: str = "production") -> Run:
    made = run(number, at_most("p99", 10 if passes else 30, 20, "ms"))
    about = msgspec.structs.replace(
        made.about,
        environment=environment,
        clients=clients,
        targets=(Target(name="stack", kind="a stack", version=stack, started_by_us=False),),
    )
    return msgspec.structs.replace(made, about=about)


RUNS = [
    judged(1, "app-4", "1.0", passes=True),
    judged(2, "app-5", "1.0", passes=False),
    judged(3, "app-4", "1.1", passes=True),
    judged(4, "app-4", "1.1", passes=False, environment="staging"),
    judged(5, "app-5", "1.1", passes=False),
    judged(6, "app-5", "1.1", passes=True),
    judged(7, "app-4", "1.2", passes=True),
]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for made in RUNS:
        save(made, tmp_path / made.about.id)
    return tmp_path


def ask(kept: Path, *options: str, env: str = "production") -> Result:
    return CliRunner().invoke(cli, ["can-switch", "--env", env, *options, str(kept)])


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--stack-version", "1.0"], 1, "production must not switch to stack 1.0."),
        (["--stack-version", "1.1"], 0, "production may switch to stack 1.1."),
        ([], 3, "they were never judged together here"),
        (["--client-version", "app-4"], 0, "production may switch to stack 1.2."),
        (["--client-version", "app-9", "--stack-version", "1.1"], 3, "app-9"),
    ],
)
def test_every_version_of_the_clients_has_to_pass_with_the_stack(
    kept: Path, options: list[str], status: int, said: str
) -> None:
    answered = ask(kept, *options)
    assert (answered.exit_code, said in " ".join(answered.output.split())) == (status, True), answered.output


def test_an_environment_that_no_run_was_made_for_is_not_known(kept: Path) -> None:
    assert ask(kept, env="staging").exit_code == 1
    unknown = ask(kept, env="moon")
    assert (unknown.exit_code, "hubgate gate --env moon" in unknown.output) == (3, True)


def test_machines_get_the_pairs(kept: Path) -> None:
    told = json.loads(ask(kept, "--stack-version", "1.1", "--json").output)
    assert told["verdict"] == "pass"
    assert [(pair["clients"], pair["run"]) for pair in told["pairs"]] == [("app-4", "run-3"), ("app-5", "run-6")]


@pytest.mark.parametrize("more", [["--only", "claims"], ["--candidate", "http://a", "--redis", "redis://a"]])
def test_a_run_that_is_no_evidence_is_refused_at_once(more: list[str]) -> None:
    refused = CliRunner().invoke(cli, ["gate", "--env", "production", *more])
    assert (refused.exit_code, "--env" in refused.output) == (2, True)
