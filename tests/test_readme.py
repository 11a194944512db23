"""What the README and the five minutes tell a newcomer to type works, typed as it stands (but for addresses)."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import Launch, Process, Processes, free_port, http_ok
from harness.testing import until
from tests.pages import ROOT, Terminal, commands, parts

README, FIVE = "README.md", "docs/five-minutes.md"
PORT = "127.0.0.1:8000"
TIME_IS_UP = 28
"""curl's exit status for --max-time, which ends a stream that never ends."""
RUN = {README: {"make", "up", "tour", "yours"}, FIVE: {"up", "jobs", "gate"}}
"""The blocks that tests run: here, and `yours` with those of the pages on somebody's own hub."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, as `make` finds it when it has set up .venv: with this Python in it."""
    folder = tmp_path_factory.mktemp("tree")
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in {"out", "build"}:
            (folder / path.name).symlink_to(path)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, start in (("python", '"$@"'), ("hubgate", '-m hubgate "$@"')):
        (binaries / name).write_text(f"#!/bin/sh\nexec {sys.executable} {start}\n")
        (binaries / name).chmod(0o755)
    for stamp in (".gate", ".dev"):
        (folder / ".venv" / stamp).touch()
    return folder


def make_here(tree: Path) -> dict[str, str]:
    return {"make ": f"make --no-print-directory -C {tree} "}


@pytest.fixture(scope="module")
def stack(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """What `make up` starts."""
    port, folder = free_port(), tmp_path_factory.mktemp("up")
    (line,) = {commands(page)["up"].partition("#")[0].strip() for page in (README, FIVE)}
    launch = Launch(
        name="up",
        command=("bash", "-ec", Terminal(README, folder, make_here(tree)).said(line)),
        environment={"PYTHONPATH": str(ROOT), "ARGS": f"--port {port} --data {folder / 'data'}"},
        port=port,
        probe=http_ok("127.0.0.1", port, "/health/ready"),
        ready_s=60,
    )
    with Processes(folder / "logs") as processes:
        yield processes.start(launch)


@pytest.mark.parametrize("page", RUN)
def test_a_test_runs_every_block_of_commands(page: str) -> None:
    assert set(commands(page)) == RUN[page]


def test_every_line_of_the_tour_is_answered(stack: Process) -> None:
    answers = {}
    for line in commands(README)["tour"].splitlines():
        command = shlex.split(line.replace(PORT, f"127.0.0.1:{stack.launch.port}"))
        done = subprocess.run(
            [*command, "-w", "\n%{http_code}"], capture_output=True, text=True, timeout=30, check=False
        )
        ends = {0, TIME_IS_UP} if "--max-time" in line else {0}
        assert done.returncode in ends, line
        answers[line] = done.stdout.rpartition("\n")[2]
    wrong = {line: status for line, status in answers.items() if status not in {"200", "201"}}
    assert not wrong


def test_the_tour_visits_every_route() -> None:
    tour = commands(README)["tour"]
    paths = [
        *(
            "/api/jobs",
            "/api/jobs/first",
            "/progress",
            "/cancel",
            "/retry",
            "/api/events",
            "/api/stats",
            "/api/workers",
        ),
        *("/health/live", "/health/ready", "/health", "/metrics", "/openapi.json", "/dashboard"),
    ]
    assert [path for path in paths if path not in tour] == []


def test_the_client_of_the_readme_follows_a_job(stack: Process) -> None:
    program = parts(README)["client"].replace(PORT, f"127.0.0.1:{stack.launch.port}")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout


async def test_in_five_minutes_one_sees_what_the_page_shows(stack: Process, tmp_path: Path) -> None:
    other_job = {PORT: f"127.0.0.1:{stack.launch.port}", "first": "five-minutes"}
    terminal = Terminal(FIVE, tmp_path, other_job)
    await until(lambda: "dashboard" in stack.log.read_text(), within=30)
    terminal.sees("up", stack.log.read_text())
    await terminal.run("jobs")


@pytest.mark.timeout(300)
async def test_make_gate_begins_a_run_and_a_ctrl_c_leaves_its_report(tree: Path) -> None:
    terminal = Terminal(README, tree, make_here(tree))
    gate, test = commands(README)["make"].splitlines()
    assert commands(FIVE)["gate"].split() == gate.partition("#")[0].split() == ["make", "gate"]
    begun = until((tree / "out" / "latest").exists, within=200, what="the run")  # it installs first
    said = await terminal.type(gate + "\n", begun, status=2)
    assert "Report: out/" in said
    assert {"report.html", "junit.xml", "summary.md", "run.json"} <= {
        path.name for path in (tree / "out/latest").iterdir()
    }
    found = await terminal.type(f"ARGS='--collect-only -q tests/test_docs.py' {test}\n")
    assert "test_docs.py::" in found


MADE = re.findall(r"`make ([a-z-]+)", (ROOT / README).read_text() + (ROOT / FIVE).read_text())


@pytest.mark.parametrize("goal", sorted({*MADE}))
async def test_a_target_that_is_named_is_one_of_make(goal: str, tree: Path) -> None:
    assert await Terminal(README, tree, make_here(tree)).type(f"make --dry-run {goal}\n")


def test_every_page_and_picture_that_the_readme_points_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / README).read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []
