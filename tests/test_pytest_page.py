"""docs/pytest.md, done as it says: its file, its settings, and its commands without and with servers of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import Processes, start_valkey
from harness.targets import Deployment, Setup, Side
from tests.pages import Terminal, commands, parts

PAGE = "docs/pytest.md"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's, with the page's two files."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "test_ours.py").write_text(parts(PAGE)["scenarios"])
    (folder / "pytest.ini").write_text(parts(PAGE)["settings"])
    return folder


@pytest.fixture
def given(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A hub and a stack with workers, in place of the page's."""
    with Processes(tmp_path / "processes") as processes:
        hub = Deployment.start(processes, Setup(side=Side.HUB))
        stack = Deployment.start(processes, Setup(), start_valkey(processes))
        for side in (hub, stack):
            side.start_workers(side.worker_launches(2))
        yield {
            "ws://hub.internal:8001": hub.target.ws_url,
            "http://stack.internal:8000": stack.target.http_url,
            ' --token "$TOKEN"': "",
        }


def terminal(folder: Path, changes: dict[str, str]) -> Terminal:
    return Terminal(PAGE, folder, changes | {"pytest ": f"{sys.executable} -m pytest -p no:cacheprovider "})


def test_every_command_of_the_page_is_run_here() -> None:
    assert set(commands(PAGE)) == {"run", "given"}


async def test_the_pages_file_runs_on_servers_that_are_started_for_it(repository: Path) -> None:
    said = await terminal(repository, {}).run("run")
    assert "3 passed" in said
    assert "warning" not in said.lower()


async def test_the_same_file_runs_on_servers_that_are_given(repository: Path, given: dict[str, str]) -> None:
    assert "2 passed, 1 skipped" in await terminal(repository, given).run("given")
