"""A criterion: one sentence of the plan, what was measured for it, and which of three verdicts that comes to."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, Self

import msgspec

from harness.results.formatting import listed, quantity


class Verdict(StrEnum):
    """What a criterion, or a whole run, comes to."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_status(self) -> int:
        """The command's exit status: 0 pass, 1 fail, 3 inconclusive (2 is wrong usage)."""
        return _EXIT_STATUS[self]


_EXIT_STATUS: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
_RANK: Final = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Fail outranks inconclusive outranks pass; nothing at all is inconclusive, so an empty run never passes."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.INCONCLUSIVE)


class Comparison(StrEnum):
    """How an observed value is held against a limit."""

    BELOW = "<"
    AT_MOST = "<="
    EQUAL = "="
    AT_LEAST = ">="
    ABOVE = ">"


_TEST: Final[dict[Comparison, Callable[[float, float], bool]]] = {
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.EQUAL: operator.eq,
    Comparison.AT_LEAST: operator.ge,
    Comparison.ABOVE: operator.gt,
}
_SIGN: Final = {Comparison.AT_MOST: "≤", Comparison.AT_LEAST: "≥"}
_WORDS: Final = {
    Comparison.BELOW: "under",
    Comparison.AT_MOST: "at most",
    Comparison.EQUAL: "",
    Comparison.AT_LEAST: "at least",
    Comparison.ABOVE: "over",
}


class Threshold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limit that was set, in the measurement's unit; `plan` is the plan's own, weaker number where it has one."""

    comparison: Comparison
    limit: float
    plan: float | None = None

    def admits(self, value: float) -> bool:
        """Whether the value is on the good side of the limit."""
        return _TEST[self.comparison](value, self.limit)

    def describe(self, unit: str) -> str:
        """As a reader sees it: `< 20 ms`."""
        return f"{_SIGN.get(self.comparison, self.comparison.value)} {quantity(self.limit, unit)}"

    def describe_plan(self, unit: str) -> str | None:
        """The plan's own limit in the same words, or None."""
        if self.plan is None:
            return None
        return f"{_SIGN.get(self.comparison, self.comparison.value)} {quantity(self.plan, unit)}"


class Measurement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure held against one threshold. `observed` is None where it could not be measured, and finite: what
    never came (a job that was not recovered) is counted in a measurement of its own.

    `counterexample` says that a bad value is proof by itself, however little was seen (a job that was lost is lost);
    without it the figure is a statistic, and below the least evidence it says nothing, good or bad.
    """

    what: str
    observed: float | None
    threshold: Threshold
    unit: str = ""
    counterexample: bool = False

    @property
    def verdict(self) -> Verdict:
        """By the figure alone."""
        if self.observed is None or not math.isfinite(self.observed):
            return Verdict.INCONCLUSIVE
        return Verdict.PASS if self.threshold.admits(self.observed) else Verdict.FAIL

    def describe(self) -> str:
        """As a sentence's part: `p99 of claims = 31 ms, must be under 20 ms`."""
        must = f"must be {_WORDS[self.threshold.comparison]} {quantity(self.threshold.limit, self.unit)}"
        return f"{self.what} = {quantity(self.observed, self.unit)}, {' '.join(must.split())}"


def count(what: str, observed: int, limit: int = 0) -> Measurement:
    """A number that is proof by itself where it is over its limit, however little was seen: a lost job is lost."""
    threshold = Threshold(comparison=Comparison.AT_MOST, limit=limit)
    return Measurement(what=what, observed=observed, threshold=threshold, counterexample=True)


def at_most(what: str, observed: float | None, limit: float, unit: str = "") -> Measurement:
    """A figure that may reach its limit."""
    threshold = Threshold(comparison=Comparison.AT_MOST, limit=limit)
    return Measurement(what=what, observed=observed, unit=unit, threshold=threshold)


def below(what: str, observed: float | None, limit: float, unit: str = "", *, plan: float | None = None) -> Measurement:
    """A figure that has to stay under its limit; `plan` is the plan's own number."""
    threshold = Threshold(comparison=Comparison.BELOW, limit=limit, plan=plan)
    return Measurement(what=what, observed=observed, unit=unit, threshold=threshold)


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much was seen, and the least that a verdict needs: jobs, workers, seconds."""

    what: str
    had: float
    least: float
    unit: str = ""

    @property
    def enough(self) -> bool:
        """Whether the least was reached."""
        return self.had >= self.least

    def describe(self) -> str:
        """`1,204 of at least 2,000 jobs`."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{quantity(self.had)} of at least {quantity(self.least)}{unit} {self.what}"


def decided(undecided: int) -> list[Evidence]:
    """The evidence that what was overdue is somebody's fault: none where so much of it may be the machine's."""
    what = "overdue findings that others' use of the machine does not explain"
    return [Evidence(what=what, had=0, least=undecided)] if undecided else []


class LinkTo(StrEnum):
    """What evidence a link opens."""

    CELL = "cell"
    """`scenario/column`, as in `happy-path/stack-websocket`."""
    FIGURE = "figure"
    TIMELINE = "timeline"
    TALLY = "tally"
    SUITE = "suite"
    """A test: `suite/name`."""
    FAULT = "fault"
    DEFECT = "defect"
    FILE = "file"
    """A path below the run's folder."""


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From a verdict to its reason."""

    to: LinkTo
    ref: str
    label: str = ""


class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One promise: `sentence` is what is claimed, `source` where the plan says so, `measured` how one finds out."""

    id: str
    title: str
    sentence: str
    source: str
    measured: str


class Waiver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a criterion may fail for now: why, who answers for it, and the last day (`YYYY-MM-DD`)."""

    reason: str
    owner: str
    expires: str


class Criterion(Statement, frozen=True, kw_only=True, omit_defaults=True):
    """A promise, judged. Made by `judged`, or by `unmeasured` where the measuring itself came to nothing."""

    verdict: Verdict
    explanation: str
    measurements: tuple[Measurement, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    links: tuple[Link, ...] = ()
    seconds: float | None = None
    waiver: Waiver | None = None
    """Why it does not count that the criterion fails."""
    left_out: bool = False
    """Whether this target cannot be asked for it: then it is outside the run's verdict."""

    @property
    def counts_as(self) -> Verdict:
        """What it adds to the run's verdict: one that is waived stops nothing."""
        return Verdict.PASS if self.waiver else self.verdict

    @property
    def reason(self) -> str:
        """Why the verdict, by the figures alone."""
        return explain(self.verdict, self.measurements, self.evidence)

    @property
    def outcome(self) -> str:
        """The verdict as a reader sees it: `fail, waived`."""
        if self.left_out:
            return "not judged"
        return f"{self.verdict.value}, waived" if self.waiver else self.verdict.value

    @classmethod
    def judged(
        cls,
        statement: Statement,
        *,
        measurements: Sequence[Measurement],
        evidence: Sequence[Evidence] = (),
        links: Sequence[Link] = (),
        explanation: str = "",
    ) -> Self:
        """A criterion with the verdict that its figures and its evidence come to; `explanation` adds to the reason."""
        verdict = judge(measurements, evidence)
        reason = explain(verdict, measurements, evidence)
        return cls(
            **_texts(statement),
            verdict=verdict,
            explanation=f"{reason} {explanation}".rstrip(),
            measurements=tuple(measurements),
            evidence=tuple(evidence),
            links=tuple(links),
        )

    @classmethod
    def unmeasured(cls, statement: Statement, why: str, *, links: Sequence[Link] = (), left_out: bool = False) -> Self:
        """A criterion that nothing can be said of; `why` is a sentence (the process did not start, the time was up)."""
        links = tuple(links)
        return cls(**_texts(statement), verdict=Verdict.INCONCLUSIVE, explanation=why, links=links, left_out=left_out)


def _texts(statement: Statement) -> dict[str, Any]:
    return {name: getattr(statement, name) for name in Statement.__struct_fields__}


def judge(measurements: Sequence[Measurement], evidence: Sequence[Evidence]) -> Verdict:
    """The figures combined. Below the least evidence only a counterexample counts, all else is inconclusive."""
    enough = all(part.enough for part in evidence)
    verdicts = [
        m.verdict if enough or (m.counterexample and m.verdict is Verdict.FAIL) else Verdict.INCONCLUSIVE
        for m in measurements
    ]
    return combine(verdicts)


def explain(verdict: Verdict, measurements: Sequence[Measurement], evidence: Sequence[Evidence]) -> str:
    """The reason of the verdict in one or two sentences, the figures in it."""
    short = [part.describe() for part in evidence if not part.enough]
    if verdict is Verdict.FAIL:
        proved = [m for m in measurements if m.verdict is Verdict.FAIL and (m.counterexample or not short)]
        return _sentence("; ".join(m.describe() for m in proved))
    if verdict is Verdict.INCONCLUSIVE:
        if short:
            return _sentence(f"too little was seen to judge: {listed(short)}")
        missing = [m.what for m in measurements if m.verdict is Verdict.INCONCLUSIVE]
        return _sentence(f"{listed(missing)} could not be measured" if missing else "nothing was measured")
    return _sentence("; ".join(m.describe() for m in measurements))


def _sentence(text: str) -> str:
    """With a full stop, and a capital unless it begins with a name such as p99."""
    return text[:1].upper() + text[1:] + "." if text[1:2].isalpha() else text + "."
