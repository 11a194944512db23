"""When something happens again and again, in cron's words: minute, hour, day of the month, month, day of the week, UTC.

Each is `*`, numbers, ranges (`1-5`), steps (`*/15`), or several of them with commas. Where both kinds of day are
given, either will do, as with cron; Sunday is 0 or 7. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, Self

import msgspec

BOUNDS: Final = {"minute": (0, 59), "hour": (0, 23), "day of month": (1, 31), "month": (1, 12), "day of week": (0, 7)}
PART: Final = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
DAYS_AHEAD: Final = 1_500
"""How far ahead is looked: the 29th of February is at most eight years away, and nobody waits for that one."""


class Schedule(msgspec.Struct, frozen=True):
    """The minutes at which it happens."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Both kinds of day are given, and one of them is enough."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the five fields. Raises ValueError with a sentence."""
        fields = text.split()
        if len(fields) != len(BOUNDS):
            raise ValueError(f"{text!r} has {len(fields)} fields instead of five: minute hour day month weekday")
        minutes, hours, days, months, weekdays = (
            _numbers(field, name, *bounds) for field, (name, bounds) in zip(fields, BOUNDS.items(), strict=True)
        )
        either = fields[2] != "*" and fields[4] != "*"
        return cls(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)

    def next_after(self, at: float) -> float | None:
        """The first such minute after a moment, both in s since the epoch; None where there is none in years."""
        first = int(at // 60 + 1) * 60
        day = datetime.fromtimestamp(first, UTC).replace(hour=0, minute=0)
        for _ in range(DAYS_AHEAD):
            if self._has(day.date()):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        found = day.timestamp() + hour * 3600 + minute * 60
                        if found >= first:
                            return found
            day += timedelta(days=1)
        return None

    def _has(self, day: date) -> bool:
        on_day, on_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (on_day or on_weekday if self.either_day else on_day and on_weekday)


def _numbers(field: str, name: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        read = PART.fullmatch(part)
        if read is None:
            raise ValueError(f"{part!r} is no {name}")
        low = least if read[1] is None else int(read[1])
        high = int(read[2]) if read[2] else most if read[1] is None or read[3] else low
        step = int(read[3] or 1)
        if not least <= low <= high <= most or not step:
            raise ValueError(f"{part!r} is no {name}: it must be from {least} to {most}")
        found.update(range(low, high + 1, step))
    return frozenset(found)
