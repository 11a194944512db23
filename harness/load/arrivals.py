"""When jobs arrive: how many a second over time, in which shape, and who takes the next intended moment.

Pure: a plan says, for any number of generators, at which moment each arrival is intended. The generators follow it,
however slowly the system under load answers (an open model), so a slow answer cannot thin out the load.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

Knots = tuple[tuple[float, float], ...]
"""(seconds, value) with rising seconds; straight lines between them, level outside."""


ENDLESS_S: Final = 1e9
"""The duration of a plan that ends when somebody stops it."""


class Shape(StrEnum):
    """How the rate, or the mix, changes during a load."""

    STEADY = "steady"
    RAMP = "ramp"
    SPIKE = "spike"
    SOAK = "soak"
    MIGRATION = "migration"


class Spacing(StrEnum):
    """How the intended moments lie: evenly, or as independent users would make them."""

    EVEN = "even"
    POISSON = "poisson"


_RATE: Final[dict[Shape, Knots]] = {
    Shape.STEADY: ((0.0, 1.0),),
    Shape.SOAK: ((0.0, 1.0),),
    Shape.MIGRATION: ((0.0, 1.0),),
    Shape.RAMP: ((0.0, 0.1), (1.0, 1.0)),
    Shape.SPIKE: ((0.0, 0.25), (0.4, 0.25), (0.4, 1.0), (0.6, 1.0), (0.6, 0.25), (1.0, 0.25)),
}
"""Share of the highest rate by share of the duration."""

_LEGACY: Final[Knots] = ((0.0, 1.0), (0.1, 1.0), (0.45, 0.0), (0.55, 0.0), (0.9, 1.0), (1.0, 1.0))
"""The migration's share of legacy users: all, none, all again (the way back is part of a migration, too)."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One load. `rate` is the highest rate of the shape, in jobs per second over all users together."""

    shape: Shape = Shape.STEADY
    rate: float = 10.0
    duration_s: float = 60.0
    arrivals: Spacing = Spacing.EVEN
    seed: int = 1
    legacy_share: float = 0.5
    """Share of hybrid users that speak the old protocol, where the shape does not move it."""

    def rate_at(self, second: float) -> float:
        """Jobs per second at that moment of the load; 0 before and after it."""
        if not 0 <= second <= self.duration_s:
            return 0.0
        return self.rate * _value_at(_RATE[self.shape], second / self.duration_s)

    def legacy_share_at(self, second: float) -> float:
        """Which share of the hybrid users speaks the old protocol at that moment."""
        if self.shape is not Shape.MIGRATION:
            return self.legacy_share
        return _value_at(_LEGACY, second / self.duration_s)

    @property
    def jobs(self) -> int:
        """How many arrivals an even plan has."""
        return sum(1 for _ in self.moments()) if self.arrivals is Spacing.POISSON else round(self._expected)

    @property
    def _expected(self) -> float:
        return sum(area for _, _, area in self._pieces())

    def moments(self, part: int = 0, parts: int = 1) -> Iterator[float]:
        """The intended moments, in seconds after the start, of one of `parts` generators that share the plan.

        Together the parts give the whole plan, each moment once. The sequence is the same on every call.
        """
        for number, count in enumerate(self._unit_times()):
            moment = self._when(count)
            if moment is None:
                return
            if number % parts == part:
                yield moment

    def _unit_times(self) -> Iterator[float]:
        """Arrival times of a process with rate 1: stretching time by the rate makes any other of it."""
        chance = random.Random(self.seed)  # noqa: S311 - a load, not a secret
        count = 0.0 if self.arrivals is Spacing.POISSON else 0.5
        while True:
            if self.arrivals is Spacing.POISSON:
                count += chance.expovariate(1.0)
                yield count
            else:
                yield count
                count += 1.0

    def _when(self, count: float) -> float | None:
        """The moment by which that many jobs have arrived, or None where the plan ends before."""
        left = count
        for (start, low), (end, high), area in self._pieces():
            if left <= area:
                return start + _solve(low, (high - low) / (end - start), left)
            left -= area
        return None

    def _pieces(self) -> list[tuple[tuple[float, float], tuple[float, float], float]]:
        """Stretches with a straight rate: (second, rate) at both ends, and the jobs that arrive in between."""
        knots = [(share * self.duration_s, part * self.rate) for share, part in _RATE[self.shape]]
        if knots[-1][0] < self.duration_s:
            knots.append((self.duration_s, knots[-1][1]))
        return [(a, b, (b[0] - a[0]) * (a[1] + b[1]) / 2) for a, b in itertools.pairwise(knots) if b[0] > a[0]]


class Arrivals:
    """The intended moments of one process, in order, as seconds since the epoch.

    A moment is taken ahead of its time where a user is free, and behind it where none is; it is never dropped, so a
    system that stalls is charged for every arrival it kept waiting (no coordinated omission).
    """

    def __init__(self, moments: Iterator[float], *, start_at: float) -> None:
        self._moments = moments
        self._start_at = start_at
        self._returned: list[float] = []
        self._exhausted = False
        self._in_hand = 0

    @classmethod
    def of(cls, plan: Plan, *, start_at: float, part: int = 0, parts: int = 1) -> Arrivals:
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
        """A user stops before it has used its moment: the next one takes it."""
        self._in_hand -= 1
        heapq.heappush(self._returned, moment)

    def use(self) -> None:
        """A job is sent for a moment that was taken."""
        self._in_hand -= 1

    @property
    def used_up(self) -> bool:
        """Whether every arrival of the plan has been sent."""
        return self._exhausted and not self._in_hand and not self._returned


def _value_at(knots: Knots, where: float) -> float:
    """The value of a line through the knots; at a jump, the value after it."""
    before = knots[0]
    for knot in knots[1:]:
        if where < knot[0]:
            width = knot[0] - before[0]
            return before[1] + (knot[1] - before[1]) * (where - before[0]) / width
        before = knot
    return before[1]


def _solve(rate: float, slope: float, jobs: float) -> float:
    """Seconds until `jobs` have arrived at a rate that starts at `rate` and grows by `slope` each second."""
    if abs(slope) < 1e-12:
        return jobs / rate if rate > 0 else 0.0
    return (math.sqrt(max(0.0, rate * rate + 2 * slope * jobs)) - rate) / slope
