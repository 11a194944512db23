"""The figures of a load: latencies as causes and effects, at full resolution, over the whole run and over time.

Values go into HDR histograms of microseconds with three significant digits, so a percentile is exact to 0.1 %, and
histograms of several Locust workers add up to exactly the histogram that one worker would have had.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec
from hdrh.histogram import HdrHistogram


class Figure(StrEnum):
    """What is measured; the word is also the request name on Locust's page. What is compared: docs/load.md."""

    SENT = "intended to sent"
    """How late the generator itself was: if this is large, the other figures speak of the generator."""
    ACCEPTED = "submit to accepted"
    CLAIMED = "submit to claimed"
    CLAIM_SEEN = "submit to claim seen"
    PROGRESS_SEEN = "progress to client"
    PROGRESS_WATCHED = "progress to monitor"
    ENDED = "submit to ended"


class Wire(StrEnum):
    """By which protocol the client that measured was connected."""

    WEBSOCKET = "websocket"
    SSE = "sse"


HIGHEST_US: Final = 600_000_000
"""Ten minutes: anything longer is recorded as this."""

PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0, 99.9)


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How one figure was distributed, in ms. `hdr` is the histogram itself (HdrHistogram V2, base64, in us)."""

    count: int
    mean_ms: float
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    hdr: str


class Histogram:
    """Counts of values in us; `add` and `dump` make it travel between processes."""

    def __init__(self) -> None:
        self._counts = HdrHistogram(1, HIGHEST_US, 3)

    @classmethod
    def load(cls, dumped: str) -> Histogram:
        """The histogram that `dump` wrote."""
        made = cls()
        made._counts.add(HdrHistogram.decode(dumped))
        return made

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Histogram:
        """A histogram of these values."""
        made = cls()
        for value in seconds:
            made.record(value)
        return made

    def record(self, seconds: float) -> None:
        """Count one value. Below a microsecond (or below zero, by the clocks' resolution) it counts as one."""
        self._counts.record_value(min(HIGHEST_US, max(1, round(seconds * 1_000_000))))

    def add(self, other: Histogram) -> None:
        """Count everything that the other has counted, too."""
        self._counts.add(other._counts)

    def dump(self) -> str:
        """As text."""
        encoded: bytes = self._counts.encode()
        return encoded.decode("ascii")

    @property
    def count(self) -> int:
        """How many values."""
        counted: int = self._counts.get_total_count()
        return counted

    def percentile_ms(self, percent: float) -> float:
        """The least value in ms that at least this percentage of the values does not exceed; 0 where there is none."""
        if not self.count:
            return 0.0
        # the library rounds the rank to the nearest, which is kinder than the definition: ask for the exact rank
        rank = max(1, math.ceil(self.count * percent / 100))
        value: int = self._counts.get_value_at_percentile(100 * rank / self.count)
        return value / 1000

    def distribution(self) -> Distribution:
        """The summary, with the histogram itself."""
        p50, p90, p95, p99, p999 = (self.percentile_ms(percent) for percent in PERCENTILES)
        return Distribution(
            count=self.count,
            mean_ms=round(self._counts.get_mean_value() / 1000, 3) if self.count else 0.0,
            min_ms=self._counts.get_min_value() / 1000 if self.count else 0.0,
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            p999_ms=p999,
            max_ms=self._counts.get_max_value() / 1000 if self.count else 0.0,
            hdr=self.dump(),
        )


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The histogram of one figure by one wire in one window of time, as it travels from a Locust worker."""

    figure: Figure
    wire: Wire
    window: int
    hdr: str


Key = tuple[Figure, Wire, int]


class Recorder:
    """Collects values by figure, wire and window of time.

    Windows that are over are kept as text: a live histogram takes some 200 KB, its text a few hundred bytes.
    """

    def __init__(self, window_s: float = 1.0) -> None:
        self.window_s = window_s
        self._totals: dict[tuple[Figure, Wire], Histogram] = {}
        self._windows: dict[Key, str] = {}
        self._fresh: dict[Key, Histogram] = {}

    def record(self, figure: Figure, wire: Wire, *, second: float, latency_s: float) -> None:
        """Count a latency that began (was intended) `second` seconds after the load's start."""
        key = (figure, wire, int(second // self.window_s))
        histogram = self._fresh.get(key)
        if histogram is None:
            histogram = self._fresh[key] = Histogram()
        histogram.record(latency_s)

    def take(self) -> list[Cell]:
        """What was recorded since the last call, to be merged elsewhere; it stays counted here, too."""
        taken = [
            Cell(figure=figure, wire=wire, window=window, hdr=histogram.dump())
            for (figure, wire, window), histogram in self._fresh.items()
        ]
        self._fresh = {}
        self.merge(taken)
        return taken

    def merge(self, cells: Iterable[Cell]) -> None:
        """Count what another recorder has taken."""
        for cell in cells:
            key = (cell.figure, cell.wire, cell.window)
            more = Histogram.load(cell.hdr)
            self._totals.setdefault(key[:2], Histogram()).add(more)
            if key in self._windows:
                more.add(Histogram.load(self._windows[key]))
            self._windows[key] = more.dump()

    def total(self, figure: Figure, wire: Wire | None = None) -> Histogram:
        """One figure over the whole run, by one wire or all."""
        self.take()
        whole = Histogram()
        for (one, by), histogram in self._totals.items():
            if one is figure and wire in (None, by):
                whole.add(histogram)
        return whole

    def lately(self, figure: Figure, windows: int) -> Histogram:
        """One figure over the last so many windows that have anything."""
        self.take()
        last = max((window for _, _, window in self._windows), default=0)
        recent = Histogram()
        for (one, _, window), dumped in self._windows.items():
            if one is figure and window > last - windows:
                recent.add(Histogram.load(dumped))
        return recent

    def over_time(self, figure: Figure) -> list[tuple[float, Histogram]]:
        """(second at which the window starts, histogram) for every window with values, in order."""
        self.take()
        windows: dict[int, Histogram] = {}
        for (one, _, window), dumped in self._windows.items():
            if one is figure:
                windows.setdefault(window, Histogram()).add(Histogram.load(dumped))
        return [(window * self.window_s, windows[window]) for window in sorted(windows)]
