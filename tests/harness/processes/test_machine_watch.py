"""The watcher beside a run, on this machine as it is: others may be at work on it, too."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from harness.machine_time import Line, MachineTime
from harness.processes import MachineWatch
from harness.processes.machine_watch import PROCESSES
from harness.processes.warm_pool import TAKES_IN_ORPHANS

pytestmark = pytest.mark.skipif(not PROCESSES.exists(), reason="what processes take is read from /proc")

BUSY = "import time; end = time.monotonic() + 30\nwhile time.monotonic() < end: pass"
LONG_S = 5.0


@pytest.fixture(autouse=True)
def takes_in_no_orphans() -> Iterator[None]:
    """A test that forked the stack's processes earlier has left that behind: the hogs would be this process's own."""
    kernel, before = ctypes.CDLL(None), ctypes.c_int()
    kernel.prctl(TAKES_IN_ORPHANS + 1, ctypes.byref(before), 0, 0, 0)
    kernel.prctl(TAKES_IN_ORPHANS, 0, 0, 0, 0)
    yield
    kernel.prctl(TAKES_IN_ORPHANS, before.value, 0, 0, 0)


@contextlib.contextmanager
def hogs(number: int) -> Iterator[None]:
    """Busy processes that are nobody's children."""
    command = f"for one in $(seq {number}); do {sys.executable} -c '{BUSY}' >/dev/null 2>&1 & echo $!; done"
    started = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    try:
        yield
    finally:
        for pid in map(int, started.stdout.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def busy_children(number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The run's own work."""
    children = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(number)]
    try:
        yield children
    finally:
        for child in children:
            child.kill()
            child.wait()


def lines_of(path: Path) -> list[Line]:
    return [msgspec.json.decode(line, type=Line) for line in path.read_bytes().splitlines()]


def test_what_others_take_of_a_full_machine_is_lost(tmp_path: Path) -> None:
    cores = os.cpu_count() or 1
    with MachineWatch(tmp_path / "machine.jsonl") as watch, hogs(2 * cores), busy_children(cores):
        began = time.time()
        time.sleep(LONG_S)
        machine = watch.time()
    assert machine.share_lost(began + 1, began + LONG_S - 1) > 0.5
    assert machine.explains(began, began + LONG_S, allowed_s=LONG_S / 2)


def test_what_the_run_takes_is_its_own_also_of_children_that_have_ended(tmp_path: Path) -> None:
    with MachineWatch(tmp_path / "machine.jsonl"):
        with busy_children(2) as children:
            time.sleep(LONG_S / 2)
            spent = sum(sum(os_times(child.pid)) for child in children)
        time.sleep(LONG_S / 2)
    first, *_, last = lines_of(tmp_path / "machine.jsonl")
    assert last.own - first.own >= spent - 0.1
    assert last.used - first.used >= spent - 0.1
    assert last.waited >= first.waited


def os_times(pid: int) -> tuple[float, float]:
    times = psutil.Process(pid).cpu_times()
    return times.user, times.system


ORPHAN = f"""
import os
if os.fork() == 0:
    import time
    {BUSY.splitlines()[0]}
    while time.monotonic() < end: pass
"""


def test_what_the_run_started_is_its_own_also_once_its_parent_is_gone(tmp_path: Path) -> None:
    with MachineWatch(tmp_path / "machine.jsonl"):
        parent = subprocess.Popen([sys.executable, "-c", ORPHAN], start_new_session=True)
        time.sleep(LONG_S)
        [orphan] = [
            one for one in psutil.process_iter() if _session_of(one.pid) == parent.pid and one.pid != parent.pid
        ]
        spent = sum(os_times(orphan.pid))
        orphan.kill()
        parent.wait()
        time.sleep(2)
    first, *_, last = lines_of(tmp_path / "machine.jsonl")
    assert spent > 0.5
    assert last.own - first.own >= spent - 0.1 - 1  # what it had in the last second before its end nobody saw


def _session_of(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0


def test_a_watcher_that_ends_at_once_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr("harness.processes.machine_watch.START_S", LONG_S)
    began = time.monotonic()
    with MachineWatch(tmp_path / "machine.jsonl") as watch:
        assert time.monotonic() - began < LONG_S
        assert not watch.time().lost


def test_a_watcher_that_was_killed_explains_nothing(tmp_path: Path) -> None:
    with MachineWatch(tmp_path / "machine.jsonl") as watch:
        assert watch._watcher
        watch._watcher.kill()
        watch._watcher.wait()
        gone = time.time()
        time.sleep(2)
        assert watch.time().lost_s(gone + 0.1, time.time()) == 0


def test_the_watcher_goes_with_the_run(tmp_path: Path) -> None:
    path = tmp_path / "machine.jsonl"
    program = (
        "from harness.processes import MachineWatch; from pathlib import Path\n"
        f"with MachineWatch(Path({str(path)!r})) as watch: print(watch._watcher.pid, flush=True); input()"
    )
    run = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdout
    watcher = int(run.stdout.readline())
    run.kill()
    run.wait()
    limit = time.monotonic() + 30
    while not _is_dead(watcher):
        assert time.monotonic() < limit, "it outlived the run"
        time.sleep(0.05)


def _is_dead(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_nothing_is_lost_where_nobody_watches() -> None:
    assert MachineTime().lost_s(0, 1e12) == 0
