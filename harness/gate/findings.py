"""What a phase of the gate brings back: judged criteria and the evidence behind them, in the words of the results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

from harness.criteria.statements import STATEMENTS, CriterionId
from harness.results import (
    Chart,
    Criterion,
    Distribution,
    Evidence,
    FaultRow,
    Link,
    LogFile,
    Measurement,
    ScenarioRow,
    Tally,
    Timeline,
)


@dataclass(kw_only=True)
class Findings:
    """The part of a run that one phase fills; `problems` are sentences on what broke off."""

    criteria: list[Criterion] = field(default_factory=list)
    matrix: list[ScenarioRow] = field(default_factory=list)
    distributions: list[Distribution] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    timelines: list[Timeline] = field(default_factory=list)
    faults: list[FaultRow] = field(default_factory=list)
    logs: list[LogFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def merged(cls, parts: Iterable[Findings]) -> Self:
        """All parts as one, in their order."""
        whole = cls()
        for part in parts:
            for each in fields(cls):
                getattr(whole, each.name).extend(getattr(part, each.name))
        return whole


def judged(
    which: CriterionId,
    measurements: Sequence[Measurement],
    evidence: Sequence[Evidence],
    *,
    links: Sequence[Link] = (),
    explanation: str | None = None,
) -> Criterion:
    """The criterion with the verdict that its figures come to."""
    said = STATEMENTS[which]
    return Criterion.judged(
        id=said.id,
        title=said.title,
        sentence=said.sentence,
        source=said.source,
        measured=said.measured,
        measurements=measurements,
        evidence=evidence,
        links=links,
        explanation=explanation,
    )


def unmeasured(which: CriterionId, why: str, *, links: Sequence[Link] = ()) -> Criterion:
    """The criterion of which nothing can be said; `why` is a sentence."""
    said = STATEMENTS[which]
    return Criterion.unmeasured(
        id=said.id,
        title=said.title,
        sentence=said.sentence,
        source=said.source,
        measured=said.measured,
        why=why,
        links=links,
    )
