"""Every command of docs/load.md is one that the programs understand, and its table of options is the true one."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harness.load.spec import MOVING, BrownOut
from harness.results import load
from hubgate.cli.load import load as main
from hubgate.cli.load import spec_of
from tests.loadtests.swarms import LOCUSTFILE

PAGE = Path(__file__).parents[2] / "docs" / "load.md"
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL) for line in block.splitlines()
]


def parsed(arguments: list[str]) -> dict[str, object]:
    return dict(main.make_context("load", arguments).params)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("hubgate load")])
def test_a_command_of_the_page_makes_a_load(command: str) -> None:
    assert spec_of(parsed(shlex.split(command)[2:])).fleet == 48


SMALLER = {"--rate": "5", "--duration": "8", "--users": "10", "--fleet": "3"}
"""What is less here than on the page."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("hubgate load")])
def test_a_load_of_the_page_is_made_and_judged(command: str, tmp_path: Path) -> None:
    _, *words = shlex.split(command)
    for option, value in SMALLER.items():
        words += [option, value]  # of an option that is given twice, the last one counts
    done = subprocess.run(
        [sys.executable, "-m", "hubgate", *words, "--least-jobs", "1"],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
        cwd=tmp_path,
    )
    (written,) = tmp_path.glob("out/load-*/run.json")
    run = load(written)
    assert done.returncode == run.verdict.exit_status, done.stderr
    assert re.search(r"[1-9]\d* of \d+ acknowledged jobs ended", run.criteria[0].explanation)


def test_a_migration_has_brown_outs_where_the_stack_is_its_own() -> None:
    own = ["--shape", "migration"]
    assert spec_of(parsed(own)).brown_outs == MOVING
    assert spec_of(parsed([*own, "--brown-out", "60-70!", "--brown-out", "5-9"])).brown_outs == (
        BrownOut(begins=5, ends=9),
        BrownOut(begins=60, ends=70, interrupts=True),
    )
    for other in (["--side", "hub"], ["--candidate", "http://127.0.0.1:1"], ["--unchecked"]):
        assert spec_of(parsed([*own, *other])).brown_outs == ()
        with pytest.raises(click.UsageError, match="needs a stack"):
            spec_of(parsed([*own, *other, "--brown-out", "5-9"]))
    assert spec_of(parsed(own), alone=False).brown_outs == ()


@pytest.mark.parametrize("texts", [["9-5"], ["50-100"], ["5-9,interrupt"], ["5-20", "20-30"]])
def test_windows_that_are_none_or_overlap_are_refused(texts: list[str]) -> None:
    with pytest.raises(click.UsageError, match="--brown-out"):
        spec_of(parsed([word for text in texts for word in ("--brown-out", text)]))


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("locust")])
def test_a_locust_command_of_the_page_is_understood(command: str) -> None:
    """Locust parses all its options before it lists the users."""
    arguments = [*shlex.split(command)[1:], "--list"]
    done = subprocess.run(
        [sys.executable, "-m", "locust", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=LOCUSTFILE.parents[1],
    )
    assert done.returncode == 0, done.stderr
    assert "HybridUser" in done.stdout + done.stderr


def test_every_command_of_the_page_is_tried() -> None:
    assert all(command.startswith(("hubgate load", "locust")) for command in COMMANDS)
    assert len(COMMANDS) == 6


def test_the_options_named_on_the_page_exist() -> None:
    table = PAGE.read_text().split("| I want |")[1].split("## ")[0]
    named = set(re.findall(r"(--[a-z][a-z-]+)", table))
    known = {option for parameter in main.params if isinstance(parameter, click.Option) for option in parameter.opts}
    assert named <= known


def test_the_locustfile_of_the_page_works(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "locustfile.py").write_text(snippet)
    command = [sys.executable, "-m", "locust", "-f", str(tmp_path / "locustfile.py"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=LOCUSTFILE.parents[1])
    assert done.returncode == 0, done.stderr
    assert "OldClient" in done.stdout + done.stderr
