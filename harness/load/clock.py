"""The one clock of a load: seconds since the epoch, comparable with the stamps of other processes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class EpochClock:
    """The wall clock at the start, moved on by the monotonic one, so that it never jumps during a run."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> float:
        """Now."""
        return (self._offset_ns + time.monotonic_ns()) / 1e9
