"""Tickets: the intended moments of a load, taken by whichever user is free, and given back by one that stops."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from harness.load.plan import Plan


class Tickets:
    """The intended moments of one process, in order, as seconds since the epoch.

    A ticket is taken ahead of its moment where a user is free, and behind it where none is; it is never dropped, so a
    system that stalls is charged for every arrival it kept waiting (no coordinated omission).
    """

    def __init__(self, moments: Iterator[float], *, start_at: float) -> None:
        self._moments = moments
        self._start_at = start_at
        self._returned: list[float] = []
        self._exhausted = False
        self._in_hand = 0

    @classmethod
    def of(cls, plan: Plan, *, start_at: float, part: int = 0, parts: int = 1) -> Tickets:
        """The share of one of `parts` generators in a plan that starts at that moment."""
        return cls(plan.moments(part, parts), start_at=start_at)

    def take(self) -> float | None:
        """The earliest moment that nobody has; None when there is none left."""
        if self._returned:
            self._in_hand += 1
            return heapq.heappop(self._returned)
        moment = next(self._moments, None)
        if moment is None:
            self._exhausted = True
            return None
        self._in_hand += 1
        return self._start_at + moment

    def give_back(self, moment: float) -> None:
        """A user stops before it has used its ticket: the next one takes it."""
        self._in_hand -= 1
        heapq.heappush(self._returned, moment)

    def use(self) -> None:
        """A job is sent for a ticket."""
        self._in_hand -= 1

    @property
    def used_up(self) -> bool:
        """Whether every arrival of the plan has been sent."""
        return self._exhausted and not self._in_hand and not self._returned
