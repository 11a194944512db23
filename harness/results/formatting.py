"""Figures as a person reads them: the same in sentences, tables and plots."""

from __future__ import annotations

import itertools
import math
import re
from typing import Final

_LONGEST_WORD: Final = 40
_BYTES: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def number(value: float) -> str:
    """A number with thousands separated and no more digits than it can carry (three significant ones below 1,000)."""
    if not math.isfinite(value):
        return "unknown"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{round(value):,}"
    text = f"{value:.3g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in text else text


def quantity(value: float | None, unit: str = "") -> str:
    """A value with its unit; bytes in the unit that fits, ms from 1 s on in seconds, no value as "not measured"."""
    if value is None:
        return "not measured"
    if unit == "bytes":
        for size, name in _BYTES:
            if abs(value) >= size:
                return f"{number(float(f'{value / size:.3g}'))} {name}"
    if unit == "ms" and abs(value) >= 1_000:
        return f"{number(float(f'{value / 1000:.3g}'))} s"
    return f"{number(value)} {unit}".rstrip()


def shortened(text: str, limit: int, tail: int = 0) -> str:
    """Text of others with about `limit` characters, `tail` of them from its end; a cut is between words where it can
    be, and says how much it took.
    """
    if len(text) <= limit:
        return text
    ending = f" … {text[-tail:]}" if tail else ""
    head = text[: limit - tail]
    start = head.rfind(" ")
    if not text[limit - tail].isspace() and start > len(head) - _LONGEST_WORD and start > 0:
        head = head[:start]
    return f"{head.rstrip()} … {len(text) - len(head.rstrip()) - tail:,} characters left out{ending}"


def opening(text: str, limit: int) -> str:
    """As many of its sentences as fit, and at least the first; what is left out is counted in sentences."""
    sentences = re.split(r"(?<=[.!?])\s+", text)
    lengths = itertools.accumulate(len(one) + 1 for one in sentences)
    kept = max(1, sum(length <= limit + 1 for length in lengths))
    more = f" (And {plural(len(sentences) - kept, 'more sentence')}.)" if kept < len(sentences) else ""
    return " ".join(sentences[:kept]) + more


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 job`, `2 jobs`, `1,200 jobs`; `many` where an s is not enough."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(words: list[str], limit: int = 5) -> str:
    """`a`, `a and b`, `a, b and c`; beyond `limit` the rest is counted: `a, b and 7 more`."""
    shown = words if len(words) <= limit else [*words[: limit - 1], f"{len(words) - limit + 1:,} more"]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + (f" and {shown[-1]}" if shown else "")
