"""What the README tells a newcomer to type works, typed as it stands (but for the port)."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import Launch, Process, Processes, free_port, http_ok

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PORT = "127.0.0.1:8000"
TIME_IS_UP = 28
"""curl's exit status for --max-time, which ends a stream that never ends."""


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"README.md has no block called {name}"
    return found[1]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    port = free_port()
    folder = tmp_path_factory.mktemp("up")
    command = (sys.executable, "-m", "hubgate", "up", "--workers", "2", "--port", str(port), "--data", str(folder))
    launch = Launch(
        name="up",
        command=command,
        environment={"PYTHONPATH": str(ROOT)},
        port=port,
        probe=http_ok("127.0.0.1", port, "/health/ready"),
        ready_s=40,
    )
    with Processes(folder / "logs") as processes:
        yield processes.start(launch)


def test_every_line_of_the_tour_is_answered(stack: Process) -> None:
    answers = {}
    for line in block("tour").splitlines():
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
    tour = block("tour")
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
    program = block("client").replace(PORT, f"127.0.0.1:{stack.launch.port}")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout


def test_every_page_and_picture_that_the_readme_points_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []
