"""Which failures of a scenario the machine explains."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from harness.clients import Disconnected, ExpectationTimeout
from harness.errors import NotReady
from harness.gate.phases.scenarios import read_results
from harness.machine_time import Line, Lost, MachineLog, MachineTime
from harness.testing import TooLate
from harness.testing.starved import proved_nothing, proves_nothing

ROOT = Path(__file__).parents[3]
LATE = [
    TimeoutError("it did not come within 10 s"),
    ExpectationTimeout("page waited 10 s for complete_job"),
    NotReady("api was not ready within 30 s"),
    TooLate("it was begun only after [900, 950] ms"),
    httpx.ReadTimeout("no answer"),
    pytest.fail.Exception("Timeout (>20.0s) from pytest-timeout."),
    ExceptionGroup("tasks", [TimeoutError(), ExceptionGroup("more", [ExpectationTimeout("…")])]),
]
WRONG = [
    AssertionError("assert 200 == 401"),
    Disconnected("page waited for complete_job; its connection closed"),
    pytest.fail.Exception("it was told twice"),
    ExceptionGroup("tasks", [TimeoutError(), AssertionError("assert 1 == 2")]),
]


def machine(lost: float) -> MachineTime:
    """For a scenario from second 100 to 120."""
    return MachineTime([Lost(99, 121, 22 * lost)])


@pytest.mark.parametrize("error", LATE, ids=str)
def test_what_did_not_come_in_time_proves_nothing_where_others_had_half_of_the_machine(error: Exception) -> None:
    assert proves_nothing(error, machine(0.6), 100, 120)
    assert not proves_nothing(error, machine(0.4), 100, 120)
    assert not proves_nothing(error, machine(0.6), 130, 150)


@pytest.mark.parametrize("error", WRONG, ids=str)
def test_any_other_failure_proves_something_while_a_quarter_is_left(error: Exception) -> None:
    assert not proves_nothing(error, machine(0.6), 100, 120)
    assert proves_nothing(error, machine(0.9), 100, 120)


@pytest.mark.parametrize(("left", "explained"), [(0.1, True), (1.0, False)])
def test_a_short_scenario_is_judged_once_the_watcher_has_told_of_it(
    tmp_path: Path, left: float, explained: bool
) -> None:
    """Its whole time lies after the watcher's last line, which says what others had just before."""
    cores, file, now = os.cpu_count() or 1, tmp_path / "machine.jsonl", time.time()

    def line(at: float, own: float) -> bytes:
        used = cores * (at - now + 10)
        return (
            msgspec.json.encode(Line(at=at, late=0, used=used, idle=0, own=cores * own, waited=at - now + 10)) + b"\n"
        )

    before = 0.5 * 9.0
    file.write_bytes(line(now - 10, 0) + line(now - 1, before))

    def write() -> None:
        with file.open("ab") as log:
            log.write(line(now + 1.5, before + 2.5 * left))

    with file.open("rb") as watched:
        fcntl.flock(watched, fcntl.LOCK_EX)
        threading.Timer(0.8, write).start()
        found = proved_nothing(TooLate("it was late"), MachineLog(file), now - 0.5, now)
    assert found is explained


SCENARIOS = """
import pytest

pytestmark = pytest.mark.criterion("modern-clients")


def test_late(hubgate_machine):
    raise TimeoutError("it did not come within 10 s")


def test_wrong(hubgate_machine):
    assert 1 == 2


def test_good(hubgate_machine):
    pass


@pytest.fixture
def late_after(hubgate_machine):
    yield
    raise TimeoutError("it did not go within 10 s")


@pytest.fixture
def wrong_after(hubgate_machine):
    yield
    assert 1 == 2


@pytest.fixture
def wrong_before(late_after):
    assert 1 == 2


def test_late_after(late_after):
    pass


def test_late_and_late_after(late_after):
    raise TimeoutError("it did not come within 10 s")


def test_late_and_wrong_after(wrong_after):
    raise TimeoutError("it did not come within 10 s")


def test_wrong_and_late_after(late_after):
    assert 1 == 2


def test_wrong_before_and_late_after(wrong_before):
    pass
"""
LATE_ALONE = {"test_late", "test_late_after", "test_late_and_late_after"}


@pytest.mark.parametrize(
    ("left", "late", "processes"), [(1.0, "FAILED", "0"), (0.4, "UNDECIDED", "0"), (0.4, "UNDECIDED", "2")]
)
def test_the_suites_say_which_failures_prove_nothing(tmp_path: Path, left: float, late: str, processes: str) -> None:
    """By the log of the run's watcher: others have so much of the machine, from now on and for an hour."""
    (tmp_path / "test_it.py").write_text(SCENARIOS)
    log, results, now = tmp_path / "machine.jsonl", tmp_path / "junit.xml", time.time()
    cores = os.cpu_count() or 1
    full = [Line(at=now + n, late=0, used=cores * n, idle=0, own=cores * left * n, waited=n) for n in range(-5, 3_600)]
    log.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in full))
    plugins = ("-p", "harness.testing.plugin", "-p", "no:cacheprovider", "-c", "/dev/null", "-n", processes)
    subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "--machine-log", log, "--junit-xml", results, "test_it.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
    )
    found = {one.name: one.outcome.name for one in read_results(results)}
    assert found.pop("test_good") == "PASSED"
    assert len(found) == 7
    assert found == {name: late if name in LATE_ALONE else "FAILED" for name in found}
