"""Counts over time of what the clients saw, from which the depth of the queue follows on any target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from harness.load.latencies import Metric
from harness.load.swarm import Throughput

COUNTED: Final = frozenset({Metric.SENT, Metric.ACCEPTED, Metric.CLAIM_SEEN, Metric.ENDED})
"""The latencies that a job has once, each at a step of its life."""
Count = tuple[Metric, int, int]
"""How many jobs took that step in that window of time."""


class ThroughputCounts:
    """Counts by window of time, at the moment of seeing (not of the cause)."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._counts: Counter[tuple[Metric, int]] = Counter()

    def count(self, step: Metric, second: float) -> None:
        """A job took a step; what is no step is not counted."""
        if step in COUNTED:
            self._counts[step, int(max(0.0, second) // self.window_s)] += 1

    def dump(self) -> list[Count]:
        """All counts so far, to be summed elsewhere."""
        return [(step, window, count) for (step, window), count in self._counts.items()]


def throughput_of(dumps: Iterable[list[Count]], window_s: float) -> list[Throughput]:
    """The throughput of all generators together."""
    total: Counter[tuple[Metric, int]] = Counter()
    for dump in dumps:
        for step, window, count in dump:
            total[step, window] += count
    last = max((window for _, window in total), default=-1)
    sums: Counter[Metric] = Counter()
    found = []
    for window in range(last + 1):
        here = {step: total[step, window] for step in COUNTED}
        sums.update(here)
        found.append(
            Throughput(
                second=window * window_s,
                submitted=here[Metric.SENT],
                accepted=here[Metric.ACCEPTED],
                claimed=here[Metric.CLAIM_SEEN],
                ended=here[Metric.ENDED],
                waiting=max(0, sums[Metric.ACCEPTED] - max(sums[Metric.CLAIM_SEEN], sums[Metric.ENDED])),
                running=max(0, sums[Metric.CLAIM_SEEN] - sums[Metric.ENDED]),
            )
        )
    return found
