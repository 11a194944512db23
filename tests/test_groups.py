"""Tests that share something are run by one process."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFTEST = "from tests.conftest import pytest_collection_modifyitems"
GROUPED = """
import os, pathlib, pytest

pytestmark = pytest.mark.xdist_group("one")

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    pathlib.Path(os.environ["PYTEST_XDIST_WORKER"]).touch()
"""
OTHERS = """
import pytest

@pytest.mark.parametrize("number", range(20))
def test_it(number): ...
"""


def test_a_group_is_run_by_one_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    (tmp_path / "test_others.py").write_text(OTHERS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup"]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-o", f"pythonpath={ROOT}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "26 passed" in done.stdout, done.stdout + done.stderr
    assert len([*tmp_path.glob("gw*")]) == 1
