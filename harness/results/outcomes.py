"""What became of the jobs, and of what was broken on purpose: lives, counts that add up, faults, defects, mutants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, Self

import msgspec

from harness.results.criteria import Link
from harness.results.standing import Standing


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to the job. `source` is who saw it (client, worker, api, redis, fault)."""

    at_ms: float
    source: str
    kind: str
    worker_id: str | None = None
    attempt: int | None = None
    note: str = ""
    wrong: bool = False
    """This is the entry that the checker objects to."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The life of one job in trouble. `trouble` is a sentence, `check` the checker that objects.

    `id` is what links name; it is unique in the run.
    """

    id: str
    job_id: str
    check: str
    trouble: str
    entries: tuple[TimelineEntry, ...]
    """Its life; of the first jobs of a checker alone."""
    side: str = "stack"


class Count(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many jobs are in one class; `bad` where there should be none."""

    label: str
    count: int
    bad: bool = False


class Tally(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every one of `total` in exactly one class. `total_label` says of what: `acknowledged jobs`."""

    id: str
    title: str
    total_label: str
    total: int
    classes: tuple[Count, ...]

    @property
    def unaccounted(self) -> int:
        """How many are in no class (below zero: in more than one); 0 where the counts add up."""
        return self.total - sum(part.count for part in self.classes)

    @classmethod
    def of(
        cls,
        *,
        id: str,  # noqa: A002 - the field's name
        title: str,
        total_label: str,
        total: int,
        good: dict[str, int],
        bad: dict[str, int],
    ) -> Self:
        """From the counts by class, the good ones first."""
        classes = [Count(label=label, count=count) for label, count in good.items()]
        classes += [Count(label=label, count=count, bad=True) for label, count in bad.items()]
        return cls(id=id, title=title, total_label=total_label, total=total, classes=tuple(classes))


class SuiteOutcome(StrEnum):
    """How a test of a scenario suite came out, the worst last."""

    SKIPPED = "skipped"
    PASSED = "passed"
    UNDECIDED = "undecided"
    """It failed while others had the machine, in a way that this explains."""
    FAILED = "failed"


class SuiteRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One test of the scenario suites, the criterion that it names, and the assertion that failed."""

    suite: str
    name: str
    criterion: str
    outcome: SuiteOutcome
    failure: str = ""

    @property
    def ref(self) -> str:
        """What links name."""
        return f"{self.suite}/{self.name}"


class FaultOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one side came to under the fault; `figures` such as `{"lost": 0, "recovered after, ms": 5200}`."""

    sentence: str
    figures: dict[str, float] = {}


class FaultRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault. `how` says what was done, in a sentence."""

    id: str
    title: str
    how: str
    standing: Standing
    """Of the stack, beside the hub under the same fault."""
    stack: FaultOutcome | None = None
    hub: FaultOutcome | None = None
    explanation: str = ""
    links: tuple[Link, ...] = ()


class Detection(StrEnum):
    """Whether a seeded defect was caught, and rightly."""

    CAUGHT = "caught"
    """By the criterion that should."""
    ELSEWHERE = "caught elsewhere"
    """Only by a criterion that has nothing to do with it, or for another reason: that counts as missed."""
    MISSED = "missed"
    NOT_RUN = "not run"


class DefectRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One seeded defect: the mistake in a sentence, who should catch it (criteria ids), who did."""

    id: str
    mistake: str
    expected_by: tuple[str, ...]
    caught_by: tuple[str, ...]
    detection: Detection
    explanation: str = ""
    seconds: float | None = None


def detection(expected_by: tuple[str, ...], caught_by: tuple[str, ...], *, finding: bool) -> Detection:
    """Caught only where a criterion that should have caught it failed, and said the finding that it should have."""
    if not caught_by:
        return Detection.MISSED
    return Detection.CAUGHT if finding and set(expected_by) & set(caught_by) else Detection.ELSEWHERE


Z_95: Final = 1.959964
"""The standard normal's quantile for a two-sided interval of 95 %."""
ALL: Final = "all"


class Fate(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    """A criterion failed."""
    SURVIVED = "survived"
    UNDECIDED = "undecided"
    """No criterion failed, and not each could be judged: the gate does not pass. It does not count as caught."""
    EQUIVALENT = "equivalent"
    """It survived, and is declared, with a reason, as one that no run can tell from the original: it does not count."""


class MutantRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mutant: the change (`diff`, lines with - and +) in a file of the stack, and what became of it."""

    id: str
    room: str
    """The part of the stack that it is in: queue, matching, worker, api."""
    file: str
    line: int
    operator: str
    """The kind of change, as in `comparison < to <=`."""
    diff: str
    fate: Fate
    caught_by: tuple[str, ...] = ()
    """Ids of criteria."""
    explanation: str = ""
    """What the criterion said, or why the mutant is declared as equivalent."""
    seconds: float | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Caught among those that count, in one room or in `all`, with the limits of the 95 % interval.

    The interval is Wilson's, which holds near 0 and 1.
    """

    room: str
    caught: int
    counted: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 where nothing was tried."""
        return self.caught / self.counted if self.counted else 0.0

    @classmethod
    def of(cls, room: str, rows: Iterable[MutantRow]) -> Score:
        """The score of these."""
        counted = [row for row in rows if row.fate is not Fate.EQUIVALENT]
        caught = sum(row.fate is Fate.CAUGHT for row in counted)
        low, high = wilson(caught, len(counted))
        return cls(room=room, caught=caught, counted=len(counted), low=low, high=high)

    def describe(self) -> str:
        """`52 of 60 mutants caught: 87 % (95 % interval: 76 to 93 %)`."""
        interval = f"95 % interval: {100 * self.low:.0f} to {100 * self.high:.0f} %"
        return f"{self.caught} of {self.counted} mutants caught: {100 * self.share:.0f} % ({interval})"


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval for a share (E. B. Wilson, 1927); (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, Z_95 * Z_95
    centre = share + square / (2 * trials)
    spread = Z_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def scores(rows: Sequence[MutantRow]) -> list[Score]:
    """The score of all, then of each room of the stack."""
    rooms = sorted({row.room for row in rows})
    return [Score.of(ALL, rows), *(Score.of(room, [row for row in rows if row.room == room]) for room in rooms)]
