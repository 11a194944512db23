"""The clock of a run: ms since the epoch that never run backwards."""

from __future__ import annotations

import time


class Clock:
    """Starts at the wall clock's time and moves with the monotonic one: it fits Redis's times and never jumps."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> float:
        """Now."""
        return (self._offset_ns + time.monotonic_ns()) / 1e6
