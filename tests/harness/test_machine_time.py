"""What counts as the machine being others', and what that explains. Two processors here, a line a second."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.machine_time import MOST_STRETCHED, Deadline, Line, Lost, MachineLog, MachineTime, lost_between

CORES = 2
START = Line(at=100, late=0, used=50, idle=50, own=20, waited=5)


def a_second_later(**more: float) -> Line:
    """So much more than at the start of each; by default others had all of the machine, and the run waited."""
    figures: dict[str, Any] = {"at": 1.0, "used": 2.0, "idle": 0.0, "own": 0.0, "waited": 1.0} | more
    figures = {name: getattr(START, name) + value for name, value in figures.items()}
    return msgspec.structs.replace(START, **figures)


def lost(**more: float) -> float:
    found = lost_between(START, a_second_later(**more), CORES)
    return found.seconds if found else 0.0


def test_a_second_that_others_had_is_lost() -> None:
    assert lost() == pytest.approx(1)


def test_half_a_machine_is_half_a_second() -> None:
    assert lost(own=1.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "free",
    [
        pytest.param({"own": 2.0}, id="the run itself had it all"),
        pytest.param({"used": 1.5, "idle": 0.5}, id="a quarter was idle"),
        pytest.param({"waited": 0.05}, id="no process of the run waited"),
        pytest.param({"own": 1.8}, id="others had a tenth"),
        pytest.param({"used": 1.0, "own": 2.0, "idle": 1.0}, id="the run had more than there was"),
        pytest.param({"at": 2.0, "used": 4.0, "own": 4.0, "late": 1.0}, id="the watcher waited for the run itself"),
    ],
)
def test_nothing_is_lost_where(free: dict[str, float]) -> None:
    assert lost(**free) == 0


def test_a_watcher_that_was_not_let_run_has_lost_that_time() -> None:
    assert lost(at=4.0, used=0.0, idle=8.0, late=3.0) == pytest.approx(3)


def times(*stretches: tuple[float, float, float]) -> MachineTime:
    return MachineTime(Lost(*one) for one in stretches)


def test_time_lost_is_told_of_any_part_of_it() -> None:
    machine = times((10, 12, 1), (20, 30, 10))
    assert machine.lost_s(0, 100) == 11
    assert machine.lost_s(11, 21) == pytest.approx(0.5 + 1)
    assert machine.share_lost(20, 40) == pytest.approx(0.5)
    assert machine.within(19, 29).lost == [Lost(20, 30, 10)]


def test_a_wait_is_explained_where_the_machine_had_too_little_of_it() -> None:
    machine = times((10, 30, 15))
    assert machine.explains(8, 33, allowed_s=20)
    assert not machine.explains(8, 33, allowed_s=5), "the ten seconds that were left were enough"
    assert not machine.explains(40, 65, allowed_s=20), "it was not in that time"
    assert not times().explains(0, 1_000, allowed_s=2_000)


class Clock:
    """Moves by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def log(path: Path, *lines: Line) -> MachineLog:
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return MachineLog(path)


@contextlib.contextmanager
def watched(path: Path) -> Iterator[None]:
    """As if a watcher wrote it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def starving(seconds: int, cores: int) -> list[Line]:
    """Others have everything, from second 0 on."""
    return [Line(at=n, late=0, used=cores * n, idle=0, own=0, waited=n) for n in range(seconds + 1)]


def test_a_deadline_waits_for_the_time_that_others_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: CORES)
    monkeypatch.setattr("time.time", clock := Clock())
    deadline = Deadline(10, log(tmp_path / "machine.jsonl", *starving(7, CORES)), clock)
    clock.now = 9.0
    assert not deadline.is_over
    clock.now = 8.0
    assert not deadline.is_over
    with (tmp_path / "machine.jsonl").open("ab", buffering=0) as file:
        for second in range(8, 18):
            clock.now = second - 0.1
            assert not deadline.is_over
            line = Line(at=second, late=0, used=14, idle=2 * (second - 7), own=0, waited=7)
            file.write(msgspec.json.encode(line) + b"\n")
    clock.now = 17.1
    assert deadline.is_over


def test_a_look_at_a_growing_log_reads_what_is_new_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: CORES)
    monkeypatch.setattr("time.time", Clock())
    looked: list[tuple[float, float]] = []

    def noting(before: Line, after: Line, cores: int) -> Lost | None:
        looked.append((before.at, after.at))
        return lost_between(before, after, cores)

    monkeypatch.setattr("harness.machine_time.lost_between", noting)
    lines = starving(40, CORES)
    growing = log(tmp_path / "machine.jsonl", lines[0])
    with (tmp_path / "machine.jsonl").open("ab", buffering=0) as file:
        for line in lines[1:]:
            file.write(msgspec.json.encode(line) + b"\n")
            growing.time()
    assert looked == [(second, second + 1) for second in range(40)]
    assert growing.time().lost == MachineTime.of(lines, CORES).lost


def test_a_deadline_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: CORES)
    monkeypatch.setattr("time.time", clock := Clock())
    deadline = Deadline(1, log(tmp_path / "machine.jsonl", *starving(20, CORES)), clock)
    clock.now = MOST_STRETCHED - 0.1
    assert not deadline.is_over
    clock.now = MOST_STRETCHED
    assert deadline.is_over


def test_without_a_watcher_a_deadline_is_one_by_the_clock() -> None:
    deadline = Deadline(1, MachineLog(), clock := Clock())
    assert not deadline.is_over
    clock.now = 1.0
    assert deadline.is_over


def test_a_watcher_that_does_not_write_now_is_not_let_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: START.at + 6)
    found = log(tmp_path / "machine.jsonl", START)
    with watched(tmp_path / "machine.jsonl"):
        assert found.time().lost == [Lost(100, 106, 5)]
        with (tmp_path / "machine.jsonl").open("ab") as file:
            file.write(b'{"at":10')  # a line that is not whole yet
        assert found.time().lost == [Lost(100, 106, 5)]


def test_a_watcher_that_is_gone_explains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.now = START.at + 1
    monkeypatch.setattr("time.time", clock)
    found = log(tmp_path / "machine.jsonl", START)
    deadline = Deadline(10, found, clock)
    clock.now = START.at + 600
    assert not found.time().lost
    assert deadline.is_over
    assert found.known_until(clock.now) == clock.now
