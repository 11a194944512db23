"""What happened over time, by service: slots of one length with counts and with sketches of waits and runs.

The functions fold what they count into slots (`functions/shared/fold.lua`); here they are read and added up. A sketch
is a histogram whose buckets are an eighth of an octave wide, twice as wide with each level: within 4.5 %, 9 %, … of any
value, however many sketches are added up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

SECOND_MS: Final = 1_000
WAIT: Final = 5
"""What a tally counts by the ms of waits alone; what is below are counts, in the order of `Sum.counts`."""

KINDS: Final = 256
"""A tally's keys are what was counted times so many, and a bucket."""

NO_BUCKET: Final = 255
LEVELS: Final = 8
"""With so many halvings one bucket is left."""
MOST: Final = 2**53


class Range(msgspec.Struct, frozen=True):
    """A range that can be asked for: how many slots, of how many seconds each."""

    slots: int
    seconds: int


RANGES: Final[Mapping[str, Range]] = {
    "1h": Range(60, 60),
    "24h": Range(144, 600),
    "7d": Range(168, 3_600),
    "90d": Range(2_160, 3_600),
}


class Sketch:
    """How long things took, in ms: how many by bucket. Raises ValueError for numbers that are no sketch."""

    def __init__(self, packed: Sequence[int] = ()) -> None:
        self.level, at = packed[:2] or (0, 0)
        self.counts: dict[int, int] = {}
        rest = iter(packed[2:])
        for count in rest:
            if count:
                self.counts[at] = count
            at += 1 if count else next(rest, MOST)
        if self.level > LEVELS or at > KINDS:
            raise ValueError(packed)

    def add(self, other: Sketch) -> None:
        """Add another sketch's counts, at the coarser level of the two."""
        level = max(self.level, other.level)
        sums: dict[int, int] = {}
        for sketch in (self, other):
            shift = level - sketch.level
            for at, count in sketch.counts.items():
                sums[at >> shift] = sums.get(at >> shift, 0) + count
        self.level, self.counts = level, sums

    def count(self, bucket: int, times: int = 1) -> None:
        """Count so many more, by their bucket of the finest level."""
        at = bucket >> self.level
        self.counts[at] = self.counts.get(at, 0) + times

    @property
    def total(self) -> int:
        """How many are in it."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> int | None:
        """The ms that this share of all took at most; None where there are none."""
        rank, reached = math.ceil(share * self.total), 0
        for at in sorted(self.counts):
            reached += self.counts[at]
            if reached >= rank:
                return self._middle(at)
        return None

    def _middle(self, at: int) -> int:
        """The ms in the middle of a bucket, by ratio."""
        first, behind = at << self.level, (at + 1) << self.level
        return round(2 ** ((max(first, 1) + behind - 2) / 16)) if behind > 1 else 0


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """How long things took, in ms; None where there were none."""

    count: int
    p50: int | None
    p95: int | None
    p99: int | None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one slot (which began `at`), or in a whole range."""

    at: int
    submitted: int
    completed: int
    failed: int
    cancelled: int
    waiting: int
    wait_ms: Durations
    """From submission, or from the moment before which it must not run, to a job's first claim."""
    run_ms: Durations
    """From the last claim to the end."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The points of one service ("": of all), oldest first, those without anything left out, and their sum."""

    service: str
    points: list[Point]
    total: Point


class TimeSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A range. Times are ms since the epoch by Redis's clock; the last slot may still be filling."""

    step_ms: int
    since: int = msgspec.field(name="from")
    until: int
    series: list[Series]


class Sum:
    """Figures of several slots or services, added up. `waiting` adds up over services, not over time."""

    def __init__(self) -> None:
        self.counts = [0] * 4
        self.waiting = 0
        self.wait = Sketch()
        self.run = Sketch()

    def add(self, other: Sum, *, later: bool) -> None:
        """Add what happened elsewhere at the same time, or `later`."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.waiting = max(self.waiting, other.waiting) if later else self.waiting + other.waiting
        self.wait.add(other.wait)
        self.run.add(other.run)

    def point(self, at: int) -> Point:
        """As it is answered."""
        submitted, completed, failed, cancelled = self.counts
        return Point(
            at=at,
            submitted=submitted,
            completed=completed,
            failed=failed,
            cancelled=cancelled,
            waiting=self.waiting,
            wait_ms=_durations(self.wait),
            run_ms=_durations(self.run),
        )


def _durations(sketch: Sketch) -> Durations:
    p50, p95, p99 = (sketch.quantile(share) for share in (0.5, 0.95, 0.99))
    return Durations(count=sketch.total, p50=p50, p95=p95, p99=p99)


Slot = dict[str, Sum]
"""What happened in one slot, by service."""

Tally = list[Any]
"""A service, a list of keys and how often each was counted, the next service, …"""


def read_slot(text: bytes) -> Slot:
    """A slot as Redis keeps it (`functions/shared/fold.lua`); nothing where nobody can read it."""
    slot: Slot = {}
    at = 0
    try:
        while at < len(text):
            line_end = text.index(b"\n", at)
            found = slot[text[at:line_end].decode("utf-8", "replace")] = Sum()
            (*counts, found.waiting), at = _numbers(text, line_end + 1)
            found.counts = [count for _, count in zip(found.counts, counts, strict=True)]
            wait, at = _numbers(text, at)
            run, at = _numbers(text, at)
            found.wait, found.run = Sketch(wait), Sketch(run)
    except (ValueError, IndexError):
        return {}
    return slot


def _numbers(text: bytes, at: int) -> tuple[list[int], int]:
    """A list of numbers, and where the next one begins. Raises ValueError, IndexError."""
    numbers: list[int] = []
    for _ in range(text[at]):
        at += 1
        number = shift = 0
        while text[at] >= 128:
            number |= (text[at] & 127) << shift
            shift, at = shift + 7, at + 1
        numbers.append(number | text[at] << shift)
    if max(numbers, default=0) >= MOST:
        raise ValueError(numbers)
    return numbers, at + 1


def add_tally(slot: Slot, tally: Tally) -> None:
    """Add what is counted and not yet folded (`functions/shared/tally.lua`)."""
    for service, row in zip(tally[::2], tally[1::2], strict=True):
        found = slot.setdefault(service.decode("utf-8", "replace"), Sum())
        for key, count in zip(row[::2], row[1::2], strict=True):
            what, bucket = divmod(key, KINDS)
            if what != WAIT:
                found.counts[what - 1] += count
            if bucket != NO_BUCKET:
                (found.wait if what == WAIT else found.run).count(bucket, count)


def slots_of(wanted: Range, until_ms: int) -> range:
    """The numbers of the slots of a range that ends at that time."""
    last = until_ms // (wanted.seconds * SECOND_MS)
    return range(last - wanted.slots + 1, last + 1)


class Read(msgspec.Struct, kw_only=True):
    """What was read of a range: its slots, what nobody has folded into them yet, and the backlog of this moment."""

    wanted: Range
    numbers: range
    slots: list[tuple[int, bytes]] = []
    tallies: list[tuple[bytes, Tally]] = []
    waiting: dict[str, int] = {}

    def by_number(self) -> dict[int, Slot]:
        """The slots, with all that belongs into them."""
        slots = {number: read_slot(packed) for number, packed in self.slots if packed}
        for minute, tally in self.tallies:
            number = int(minute) * 60 // self.wanted.seconds
            if number in self.numbers:
                add_tally(slots.setdefault(number, {}), tally)
        for service, count in self.waiting.items():
            figures = slots.setdefault(self.numbers[-1], {}).setdefault(service, Sum())
            figures.waiting = max(figures.waiting, count)
        return slots


def timeseries_of(read: Read, *, by_service: bool, service: str) -> TimeSeries:
    """The slots as series: of each service, or of all (or one) together."""
    step, slots = read.wanted.seconds * SECOND_MS, read.by_number()
    found: dict[str, dict[int, Sum]] = {} if by_service else {"": {}}
    for number in sorted(slots):
        for name, figures in slots[number].items():
            if not service or name == service:
                points = found.setdefault(name if by_service else "", {})
                points.setdefault(number, Sum()).add(figures, later=False)
    since, until = read.numbers.start * step, read.numbers.stop * step
    series = [_series(name, points, step, since) for name, points in sorted(found.items())]
    return TimeSeries(step_ms=step, since=since, until=until, series=series)


def _series(name: str, points: Mapping[int, Sum], step: int, since: int) -> Series:
    total = Sum()
    for figures in points.values():
        total.add(figures, later=True)
    shown = [figures.point(number * step) for number, figures in points.items()]
    return Series(service=name, points=shown, total=total.point(since))
