"""Runs Locust as people do, as a program, against a server of a test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.history import History
from harness.load.swarm import SwarmResult
from harness.processes import free_port

LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"
LONGEST_S = 100.0


def locust(
    *arguments: str, locustfile: Path = LOCUSTFILE, enough: Callable[[], bool] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; with `enough`, until that is so. Raises TimeoutError where it does not come."""
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary", *arguments]
    with running(*command) as process:
        if enough is not None:
            limit = time.monotonic() + LONGEST_S
            while process.poll() is None and not enough():
                if time.monotonic() > limit:
                    raise TimeoutError(f"not enough within {LONGEST_S:g} s")
                time.sleep(0.02)
            process.terminate()
        out, errors = process.communicate(timeout=LONGEST_S)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A program that is gone afterwards, whatever happened."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=LOCUSTFILE.parents[1]
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def swarm(host: str, out: Path, *arguments: str) -> SwarmResult:
    """A load to its end: it drains until its last job has ended, which is at once where the machine is free."""
    done = locust("--host", host, "--load-out", str(out), "--drain", "30", *arguments)
    assert (out / "swarm.json").exists(), done.stderr
    return msgspec.json.decode((out / "swarm.json").read_bytes(), type=SwarmResult)


def generators(number: int) -> tuple[str, ...]:
    """The options for so many processes, which find their master and no other test's."""
    port = str(free_port())
    return "--processes", str(number), "--master-bind-port", port, "--master-port", port


def history(out: Path) -> History:
    return History.load(*out.glob("history-*.jsonl"))
