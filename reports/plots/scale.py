"""From values to places on the drawing: linear and logarithmic scales with ticks a person would choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from harness.results.formatting import number

LOG_FROM: Final = 40
"""An axis is logarithmic where its largest value is so many times its smallest."""


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Values from `low` to `high` onto places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where the value is drawn; beyond the ends it is drawn at the end."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        share = (value - low) / (high - low) if high > low else 0.0
        return self.start + share * (self.end - self.start)


def linear(values: Sequence[float], start: float, end: float, *, from_zero: bool, steps: int = 5) -> Scale:
    """A linear scale over the values with round ticks; `from_zero` begins it at zero."""
    low = 0.0 if from_zero and min(values, default=0.0) >= 0 else min(values, default=0.0)
    high = max(values, default=1.0)
    step = _round_step((high - low) / steps if high > low else 1.0)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    ticks = tuple(round(step * index, 10) for index in range(first, last + 1))
    return Scale(low=ticks[0], high=ticks[-1], start=start, end=end, ticks=ticks)


def tight(values: Sequence[float], start: float, end: float) -> Scale:
    """A linear scale that ends where the values end: for time."""
    wide = linear(values, start, end, from_zero=False, steps=6)
    low, high = min(values, default=0.0), max(values, default=1.0)
    high = high if high > low else low + 1
    ticks = tuple(tick for tick in wide.ticks if low <= tick <= high)
    return Scale(low=low, high=high, start=start, end=end, ticks=ticks)


def logarithmic(values: Sequence[float], start: float, end: float) -> Scale:
    """A logarithmic scale over the positive values; ticks at the powers of ten, at 2 and 5 as well where few."""
    positive = [value for value in values if value > 0] or [1.0]
    lowest, highest = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    round_values = [float(f"{digit}e{power}") for power in range(lowest - 1, highest + 2) for digit in (1, 2, 5)]
    low = max(value for value in round_values if value <= min(positive))
    high = min(value for value in round_values if value >= max(positive) and value > low)
    inside = [value for value in round_values if low <= value <= high]
    powers = [value for value in inside if f"{value:e}".startswith("1.0")]
    ticks = powers if len(powers) > 2 else inside
    return Scale(low=low, high=high, start=start, end=end, ticks=tuple(ticks), log=True)


def value_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """Linear from zero, or logarithmic where the values are of very different size."""
    positive = [value for value in values if value > 0]
    if positive and len(positive) == len(values) and max(positive) / min(positive) >= LOG_FROM:
        return logarithmic(positive, start, end)
    return linear(values, start, end, from_zero=True)


_PREFIXES: Final = {"bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")), "ms": ((5_000.0, "s"),)}


def axis_unit(unit: str, scale: Scale) -> tuple[float, str]:
    """By what the axis's numbers are divided, and the unit that they then have."""
    for size, name in _PREFIXES.get(unit, ()):
        if scale.high >= size and not scale.log:
            return (1000.0, name) if unit == "ms" else (size, name)
    return 1.0, unit


def tick_words(value: float, divisor: float) -> str:
    """A tick's number."""
    return number(value / divisor)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * 0.999)
