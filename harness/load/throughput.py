"""Counts over time of what the clients saw, from which the depth of the queue follows on any target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from harness.load.results import Throughput


class Step(StrEnum):
    """What is counted, once for each job."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    CLAIMED = "claimed"
    ENDED = "ended"


class ThroughputCounts:
    """Counts by window of time, at the moment of seeing (not of the cause)."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._counts: Counter[tuple[Step, int]] = Counter()

    def count(self, step: Step, second: float) -> None:
        """A job took this step."""
        self._counts[step, int(max(0.0, second) // self.window_s)] += 1

    def dump(self) -> list[tuple[Step, int, int]]:
        """All counts so far, to be summed elsewhere."""
        return [(step, window, count) for (step, window), count in self._counts.items()]


def throughput_of(dumps: Iterable[list[tuple[Step, int, int]]], window_s: float) -> list[Throughput]:
    """The throughput of all generators together."""
    total: Counter[tuple[Step, int]] = Counter()
    for dump in dumps:
        for step, window, count in dump:
            total[step, window] += count
    last = max((window for _, window in total), default=-1)
    sums: Counter[Step] = Counter()
    found = []
    for window in range(last + 1):
        here = {step: total[step, window] for step in Step}
        sums.update(here)
        found.append(
            Throughput(
                second=window * window_s,
                submitted=here[Step.SUBMITTED],
                accepted=here[Step.ACCEPTED],
                claimed=here[Step.CLAIMED],
                ended=here[Step.ENDED],
                waiting=max(0, sums[Step.ACCEPTED] - max(sums[Step.CLAIMED], sums[Step.ENDED])),
                running=max(0, sums[Step.CLAIMED] - sums[Step.ENDED]),
            )
        )
    return found
