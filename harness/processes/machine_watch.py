"""Watches what others take of the machine while a run lasts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from harness.machine_time import MachineLog

PROCESSES: Final = Path("/proc/stat")
"""Where there is none, nobody watches: then nothing is explained by the machine."""
START_S: Final = 60.0
"""How long its first line may take: what is begun before that was not watched."""


class MachineWatch(MachineLog):
    """A context manager: a program beside this process writes down what the machine does, and this reads it.

    What this process and all below it take is the run's own.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if PROCESSES.exists():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.unlink(missing_ok=True)
            program = str(Path(__file__).with_name("machine_watcher.py"))
            self._watcher = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", program, str(os.getpid()), str(self._file)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            limit = time.monotonic() + START_S
            while not self._has_begun() and self._watcher.poll() is None and time.monotonic() < limit:
                time.sleep(0.01)
        return self

    def _has_begun(self) -> bool:
        return self._file.exists() and self._file.stat().st_size > 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.stdin.close()
            self._watcher.wait()
            self._watcher = None
