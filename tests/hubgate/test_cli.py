"""The command line: each option says what it is for, and what is wrong is refused in a sentence at once."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness.errors import CouldNotRun
from hubgate.cli import COMMANDS, cli

OWN = [name for name in COMMANDS if name not in {"api", "worker", "hub"}]
"""The others become the product's processes and have its options."""


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", OWN)
def test_every_option_has_a_help_line(name: str) -> None:
    silent = [one.name for one in command(name).params if isinstance(one, click.Option) and not one.help]
    assert silent == []
    assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("name", OWN)
def test_a_target_is_spelled_alike_everywhere(name: str) -> None:
    options = {option for one in command(name).params for option in one.opts}
    assert not options & {"--url", "--kind", "--upstream", "--hub", "--stack"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gate", "--candidate", "stack.internal:8000", "--redis", "redis://h"], "is no URL of a target"),
        (["gate", "--candidate", "http://h:99999", "--redis", "redis://h"], "is no URL of a target"),
        (["gate", "--legacy", "http://[::1"], "is no URL of a target"),
        (["gate", "--redis", "localhost:6379"], "is no URL of a Redis"),
        (["gate", "--candidate", "http://h"], "--candidate needs --redis URL"),
        (["gate", "--candidate", "http://h", "--redis", "redis://h", "--defect", "no-reaper"], "cannot change"),
        (["gate", "--only", "speed"], "is not one of"),
        (["record", "--target", "hub", "--out", "x"], "is no URL of a target"),
        (["replay", "x.jsonl"], "one target is needed"),
        (["replay", "x.jsonl", "--legacy", "ws://h", "--candidate", "http://h"], "one target is needed"),
        (["replay", "x.jsonl", "--candidate", "http://h"], "--candidate needs --redis URL"),
        (["replay", "x.jsonl", "--candidate", "http://h", "--redis", "docker"], "is no URL of a Redis"),
        (["parity", "no-such-cassette"], "there is no cassette called no-such-cassette"),
        (["load", "--legacy", "ws://h", "--candidate", "http://h"], "need --compare"),
        (["load", "--side", "hub", "--candidate", "http://h"], "leave --side out"),
        (["load", "--compare", "--saturation"], "exclude each other"),
        (["load", "--job", "{"], "--job is no job"),
        (["up", "--workers", "-1"], "not in the range"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(cli, arguments, env={"COLUMNS": "400"})
    assert done.exit_code == 2, done.output
    assert says in done.output


def test_a_selftest_is_told_of_a_defect_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(CouldNotRun, match="there is no defect 'no-such-defect'"):
        cli.main(["selftest", "no-such-defect", "--out", str(tmp_path)], standalone_mode=False)


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "hubgate", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in done.stdout] == []
