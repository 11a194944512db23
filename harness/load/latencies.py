"""The latencies of a load, from causes to effects, at full resolution, over the whole run and over time.

Values go into HDR histograms of microseconds with three significant digits, so a percentile is exact to 0.1 %, and
histograms of several Locust workers add up to exactly the histogram that one worker would have had.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec
from hdrh.histogram import HdrHistogram

from harness.results import Percentile, Series, percentiles_for


class Metric(StrEnum):
    """Which latency is measured, also as the request name on Locust's page. From when to when: docs/load.md."""

    SENT = "intended to sent"
    """How late the generator itself was: if this is large, the other latencies speak of the generator."""
    ACCEPTED = "submit to accepted"
    CLAIMED = "submit to claimed"
    CLAIM_SEEN = "submit to claim seen"
    PROGRESS_SEEN = "progress to client"
    PROGRESS_WATCHED = "progress to monitor"
    ENDED = "submit to ended"

    @property
    def slug(self) -> str:
        """As a part of an id, and on the command line: `claim-seen`."""
        return self.name.lower().replace("_", "-")

    @property
    def heading(self) -> str:
        """As a heading."""
        return str(self).capitalize()


class Transport(StrEnum):
    """By which protocol the client that measured was connected."""

    WEBSOCKET = "websocket"
    SSE = "sse"


HIGHEST_US: Final = 600_000_000
"""Ten minutes: anything longer is recorded as this."""


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

    def percentiles_ms(self, *percents: float) -> list[float]:
        """For each the least value in ms that at least this percentage of the values does not exceed; 0 without any.

        Several at once: to read the values takes longer than to count them.
        """
        recorded = self._recorded()
        return [_at(percent, recorded) for percent in percents]

    def series(self, label: str) -> Series:
        """The percentiles that it has values enough for, as every report takes them, in ms."""
        recorded = self._recorded()
        total = sum(value * count for value, count in recorded)
        points = tuple(Percentile(percent, _at(percent, recorded)) for percent in percentiles_for(self.count))
        mean = round(total / self.count / 1000, 3) if self.count else None
        return Series(label=label, count=self.count, percentiles=points, mean=mean)

    def _recorded(self) -> list[tuple[int, int]]:
        """(value in us, how often) by size. The library's own walks over all its counts take up to 90 ms each."""
        hdr = self._counts
        return [
            (hdr.get_highest_equivalent_value(hdr.get_value_from_index(index)), count)
            for index, count in enumerate(hdr.counts[:])
            if count
        ]


def _at(percent: float, recorded: list[tuple[int, int]]) -> float:
    rank = max(1, math.ceil(sum(count for _, count in recorded) * percent / 100))
    for value, count in recorded:
        rank -= count
        if rank <= 0:
            return value / 1000
    return 0.0


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The histogram of one metric by one transport in one window of time, as it travels from a Locust worker."""

    metric: Metric
    transport: Transport
    window: int
    hdr: str
    slowest: dict[str, float] = {}
    """Jobs → their latency in ms, of the slowest ones."""


Key = tuple[Metric, Transport, int]
LIVE_WINDOWS: Final = 5
"""Of each latency; what belongs to an older window comes seldom."""
SLOWEST: Final = 3
"""How many jobs are named in each window of each latency: who looks at a spike wants to know whose it was."""
LATELY: Final = 1_000
"""How many values a live percentile looks at."""


def _keep(slowest: dict[str, float], job_id: str, latency_ms: float) -> None:
    """Have a job among the slowest ones, where it is one; of several latencies of a job the longest counts."""
    slowest[job_id] = max(latency_ms, slowest.get(job_id, 0.0))
    if len(slowest) > SLOWEST:
        del slowest[min(slowest, key=lambda one: (slowest[one], one))]


class Recorder:
    """Collects latencies by metric, transport and window of time.

    A live histogram takes some 200 KB, its text a few hundred bytes: windows that are over become text, one at a time,
    so that a generator never stops for long on its own account.
    """

    def __init__(self, window_s: float = 1.0) -> None:
        self.window_s = window_s
        self._totals: dict[tuple[Metric, Transport], Histogram] = {}
        self._windows: dict[Key, str] = {}
        self._fresh: dict[Key, Histogram] = {}
        self._over: list[Cell] = []
        self._fresh_slowest: dict[Key, dict[str, float]] = {}
        self._slowest: dict[tuple[Metric, int], dict[str, float]] = {}
        self._lately: defaultdict[Metric, deque[float]] = defaultdict(lambda: deque(maxlen=LATELY))

    def record(
        self, metric: Metric, transport: Transport, *, second: float, latency_s: float, job_id: str = ""
    ) -> None:
        """Count a latency (of that job) that began (was intended) `second` seconds after the load's start."""
        window = int(second // self.window_s)
        histogram = self._fresh.get((metric, transport, window))
        if histogram is None:
            histogram = self._fresh[metric, transport, window] = Histogram()
            for key in [one for one in self._fresh if one[:2] == (metric, transport)]:
                if key[2] <= window - LIVE_WINDOWS:
                    self._over.append(self._cell(key, self._fresh.pop(key)))
        histogram.record(latency_s)
        if job_id:
            slowest = self._fresh_slowest.setdefault((metric, transport, window), {})
            _keep(slowest, job_id, round(latency_s * 1000, 3))
        self._lately[metric].append(latency_s)

    def lately_p99_ms(self) -> dict[Metric, float]:
        """Of the newest values that were recorded here, for a display."""
        return {metric: sorted(values)[len(values) * 99 // 100] * 1000 for metric, values in self._lately.items()}

    def take(self) -> list[Cell]:
        """What was recorded since the last call, to be merged elsewhere; it stays counted here, too."""
        taken = self._over + [self._cell(key, histogram) for key, histogram in self._fresh.items()]
        self._fresh, self._over = {}, []
        self.merge(taken)
        return taken

    def merge(self, cells: Iterable[Cell]) -> None:
        """Count what another recorder has taken."""
        for cell in cells:
            key = (cell.metric, cell.transport, cell.window)
            more = Histogram.load(cell.hdr)
            self._totals.setdefault(key[:2], Histogram()).add(more)
            if key in self._windows:
                more.add(Histogram.load(self._windows[key]))
            self._windows[key] = more.dump()
            slowest = self._slowest.setdefault((cell.metric, cell.window), {})
            for job_id, latency_ms in cell.slowest.items():
                _keep(slowest, job_id, latency_ms)

    def _cell(self, key: Key, histogram: Histogram) -> Cell:
        metric, transport, window = key
        slowest = self._fresh_slowest.pop(key, {})
        return Cell(metric=metric, transport=transport, window=window, hdr=histogram.dump(), slowest=slowest)

    def total(self, metric: Metric, transport: Transport | None = None) -> Histogram:
        """One metric over the whole run, by one transport or all."""
        self.take()
        whole = Histogram()
        for (one, by), histogram in self._totals.items():
            if one is metric and transport in (None, by):
                whole.add(histogram)
        return whole

    def over_time(self, metric: Metric) -> list[tuple[float, Histogram]]:
        """(second at which the window starts, histogram) for every window with values, in order."""
        self.take()
        windows: dict[int, Histogram] = {}
        for (one, _, window), dumped in self._windows.items():
            if one is metric:
                windows.setdefault(window, Histogram()).add(Histogram.load(dumped))
        return [(window * self.window_s, windows[window]) for window in sorted(windows)]

    def slowest(self, metric: Metric) -> dict[float, dict[str, float]]:
        """Second at which a window starts → its slowest jobs with their latencies in ms, the slowest first."""
        self.take()
        return {
            window * self.window_s: dict(sorted(jobs.items(), key=lambda one: -one[1]))
            for (one, window), jobs in sorted(self._slowest.items())
            if one is metric and jobs
        }
