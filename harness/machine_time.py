"""Time by what the machine had left for a run: while others have its processors, a second is less than a second.

What was not seen before a deadline proves something only if the machine was there to do it. A wait is therefore counted
in machine time: each second counts by the share of the processors that others had not taken from the run. What the run
itself takes is no excuse, however much it is.
"""

from __future__ import annotations

import fcntl
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

STEP_S: Final = 1.0
"""Between two lines. What happened within one is not known, so a wait is held against the lines around it, too."""
FULL: Final = 0.15
"""A machine of which a larger share is idle has something left: who waits then does not wait for a processor."""
NOTEWORTHY: Final = 0.15
"""Others that have a smaller share of the processors are no reason for anything; the counts are no finer."""
WAITING: Final = 0.1
"""A run whose processes together waited a smaller part of the time had what it asked for, whoever had the rest."""
STILL_S: Final = 0.5
"""A watcher that wakes so late was not let run at all: that time is lost, but for what the run had of it."""
HALF: Final = 0.5
"""Of the machine: with less, what did not come in time proves nothing where nobody knows how long it was waited for."""
QUARTER: Final = 0.25
"""With less, leases run out and what was to be seen has passed: nothing that happened then proves anything."""
STARVED: Final = "starved"
"""The property, in a JUnit file, of a scenario that failed while others had so much of the machine."""
LOOK_S: Final = 0.1
LONGEST_WAIT_S: Final = 10.0
"""For a line of the watcher, that is not let run itself where others have the machine."""
MOST_STRETCHED: Final = 5.0
"""A deadline waits so many times its length by the clock; then it is over, and what it was for is not known."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What the watcher writes (`harness/processes/machine_watcher.py`)."""

    at: float
    late: float
    used: float
    idle: float
    own: float
    waited: float


class Lost(msgspec.Struct, frozen=True):
    """A stretch of time in which the machine was, in part, not the run's. In seconds, since the epoch."""

    from_s: float
    to_s: float
    seconds: float
    """How much of it the run did not have."""


def lost_between(before: Line, after: Line, cores: int) -> Lost | None:
    """What was lost between two lines; None where nothing was."""
    seconds = after.at - before.at
    if seconds <= 0:
        return None
    own = min(1.0, max(0.0, after.own - before.own) / (cores * seconds))
    others = max(0.0, (after.used - before.used) / (cores * seconds) - own)
    is_full = after.idle - before.idle <= FULL * cores * seconds
    has_waited = after.waited - before.waited >= WAITING * seconds
    lost = seconds * min(1.0, others) if is_full and has_waited and others >= NOTEWORTHY else 0.0
    if after.late >= STILL_S:
        lost = max(lost, after.late * (1 - own))
    return Lost(before.at, after.at, min(lost, seconds)) if lost else None


class MachineTime:
    """What a run has lost of the machine, in order."""

    def __init__(self, lost: Iterable[Lost] = ()) -> None:
        self.lost = list(lost)

    @classmethod
    def of(cls, lines: Iterable[Line], cores: int | None = None) -> MachineTime:
        """By the watcher's lines."""
        number = cores or os.cpu_count() or 1
        found = (lost_between(before, after, number) for before, after in pairwise(lines))
        return cls(one for one in found if one is not None)

    def lost_s(self, from_s: float, to_s: float) -> float:
        """How much was lost in that time."""
        total = 0.0
        for one in self.lost[max(0, bisect_left(self.lost, from_s, key=lambda lost: lost.to_s)) :]:
            if one.from_s >= to_s:
                break
            overlap = min(one.to_s, to_s) - max(one.from_s, from_s)
            total += max(0.0, overlap) / (one.to_s - one.from_s) * one.seconds
        return total

    def left_s(self, from_s: float, to_s: float) -> float:
        """How much the run had of that time."""
        return to_s - from_s - self.lost_s(from_s, to_s)

    def share_lost(self, from_s: float, to_s: float) -> float:
        """What share of that time was lost."""
        return self.lost_s(from_s, to_s) / (to_s - from_s) if to_s > from_s else 0.0

    def within(self, from_s: float, to_s: float) -> MachineTime:
        """That time's alone."""
        return MachineTime(one for one in self.lost if one.to_s > from_s and one.from_s < to_s)

    def explains(self, from_s: float, to_s: float, allowed_s: float) -> bool:
        """Whether a wait that was too long by the clock was not by machine time: nothing is known then.

        Never where nothing was lost while it lasted or right beside it.
        """
        lost = self.lost_s(from_s - STEP_S, to_s + STEP_S)
        return lost > 0 and (to_s - from_s) - lost <= allowed_s

    def left_less_than(self, share: float, from_s: float, to_s: float) -> bool:
        """Whether the run had less than that share of the machine in that time, as far as the lines tell."""
        return self.share_lost(from_s - STEP_S, to_s + STEP_S) > 1 - share


FREE: Final = MachineTime()
"""Of a machine that nobody watched, or of which nothing was lost."""


class MachineLog:
    """A watcher's file, read as it grows; any process of the run may have one."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._read = 0
        self._last: Line | None = None
        self._known = FREE
        self._decoder = msgspec.json.Decoder(Line)

    def time(self) -> MachineTime:
        """What was lost up to now; nothing where nobody watches."""
        if self.path is not None and self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self._read += len(whole) + 1
                self._take([self._decoder.decode(line) for line in whole.splitlines()])
        overdue = list(self._overdue())
        return MachineTime([*self._known.lost, *overdue]) if overdue else self._known

    def _take(self, lines: list[Line]) -> None:
        """Add what new lines tell to what is known: a look costs no more the longer the run has lasted."""
        newer = MachineTime.of([self._last, *lines] if self._last else lines)
        self._last = lines[-1]
        if newer.lost:
            self._known = MachineTime([*self._known.lost, *newer.lost])

    def known_until(self, now: float) -> float:
        """Up to which moment it is known what others had; what they have now a line will tell."""
        return self._last.at if self._last and self._is_watched() else now

    def told_of(self, moment: float) -> MachineTime:
        """What was lost, once the watcher has written a line after that moment. It is not waited for long."""
        limit = time.monotonic() + LONGEST_WAIT_S
        while self.known_until(moment) < moment and time.monotonic() < limit:
            time.sleep(LOOK_S)
            self.time()
        return self.time()

    def _overdue(self) -> Iterator[Lost]:
        """A watcher that should have woken is not let run now. One that is gone explains nothing."""
        now = time.time()
        last = self._last.at if self._last else now
        if now - last >= STEP_S + STILL_S and self._is_watched():
            yield Lost(last, now, now - last - STEP_S)

    def _is_watched(self) -> bool:
        """Whether a watcher has the file: it locks it for as long as it lives."""
        if self.path is None:
            return False
        with self.path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


NOBODY_WATCHES: Final = MachineLog()


class Deadline:
    """A deadline in machine time: it is over when the machine had so long for the run, and then some by the clock.

    Where others have the machine it waits longer, but no more than `MOST_STRETCHED` times as long.
    """

    def __init__(self, seconds: float, log: MachineLog, clock: Callable[[], float] = time.time) -> None:
        self.seconds = seconds
        self._log = log
        self._clock = clock
        self._began = clock()

    @property
    def is_over(self) -> bool:
        """Whether it is time to give up."""
        now, most = self._clock(), self._began + self.seconds * MOST_STRETCHED
        if self._began + self.seconds <= now < most:
            machine, known = self._log.time(), self._log.known_until(now)
            return machine.left_s(self._began, known) >= self.seconds
        return now >= most
