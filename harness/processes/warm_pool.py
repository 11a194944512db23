"""Processes of the stack and of the simulated hub forked from one that has imported their code: a start costs its own
work, not its imports.

For what starts dozens of them and measures nothing of what a process takes.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

PROGRAM: Final = "harness.processes.warm_starts"
MODULES: Final = ("new_stack.api", "new_stack.worker", "legacy_hub_sim")
BESIDE: Final = ("new_stack.api.server", "legacy_hub_sim.server.app")
"""What a module imports only once its settings are read."""
TAKES_IN_ORPHANS: Final = 36
"""PR_SET_CHILD_SUBREAPER of Linux."""
LOOK_S: Final = 0.005


class Forked:
    """A process that was forked elsewhere and belongs to this one: as much of `subprocess.Popen` as is needed."""

    def __init__(self, pid: int) -> None:
        self.pid: Final = pid
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        with self._lock:
            if self.returncode is None:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        limit = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if limit is not None and time.monotonic() > limit:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(LOOK_S)
        return status


class WarmStarts:
    """The process that has imported stack and hub as one PYTHONPATH has them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - a program of ours
            (sys.executable, "-P", "-m", PROGRAM, *MODULES, *BESIDE),
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Run a module to its end; its exit status and what it said. Raises OSError where that cannot be told."""
        found = self._asked({"module": module, "arguments": arguments, "environment": dict(environment)})
        if found is None:
            raise OSError(f"{module} was not started: the process that has imported it is gone")
        return found["status"], found["said"]

    def begin(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked | None:
        """Start a command line of Python's in a session of its own; None where it has to be started by itself."""
        module, *arguments = command[3:]
        asked = {"module": module, "arguments": arguments, "environment": dict(environment)}
        found = self._asked(asked | {"log": str(log.resolve()), "folder": str(log.resolve().parent)})
        return None if found is None else Forked(found["pid"])

    def close(self) -> None:
        """End it, and what it runs to its end; what was begun goes on."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what was begun is in sessions of its own
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # it was gone before it had read what it was asked
                _open(pipe).close()

    def _asked(self, question: Mapping[str, Any]) -> dict[str, Any] | None:
        asks, answers = self._process.stdin, self._process.stdout
        with self._lock:
            try:
                _open(asks).write(json.dumps(question).encode() + b"\n")
                _open(asks).flush()
                line = _open(answers).readline()
            except OSError:  # it could not import them: what is started by itself says why
                return None
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("it was started with pipes")
    return pipe


class WarmPool:
    """One such process for each PYTHONPATH that something is started with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._starts: dict[str, WarmStarts] = {}
        ctypes.CDLL(None).prctl(TAKES_IN_ORPHANS, 1, 0, 0, 0)

    def begin(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked | None:
        """Start a process of the stack, or a hub; None for any other."""
        if tuple(command[:3]) != (sys.executable, "-P", "-m") or command[3] not in MODULES:
            return None
        with self._lock:
            path = environment.get("PYTHONPATH", "")
            if path not in self._starts:
                self._starts[path] = WarmStarts(environment)
        return self._starts[path].begin(command, environment, log)

    def close(self) -> None:
        """End them; what they have begun goes on."""
        for starts in self._starts.values():
            starts.close()


def can_fork() -> bool:
    """Whether a process may take in what others have forked."""
    return sys.platform == "linux"
