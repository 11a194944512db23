"""Criteria of the sample runs."""

from __future__ import annotations

from harness.results import (
    Comparison,
    Criterion,
    Evidence,
    Link,
    LinkTo,
    Measurement,
    Statement,
    Threshold,
)
from tests.reports.sample_transcripts import RENAMED


def limit(comparison: Comparison, value: float, plan: float | None = None) -> Threshold:
    return Threshold(comparison=comparison, limit=value, plan=plan)


def compatibility(different: int, scenarios: int, least: int = 4) -> Criterion:
    links = (
        [Link(to=LinkTo.CELL, ref=f"{RENAMED}/stack-websocket", label="the frame that differs")] if different else []
    )
    return Criterion.judged(
        Statement(
            id="compatibility",
            title="Old clients work unchanged",
            sentence="All existing WebSocket clients work unchanged.",
            source="Plan, success criterion 1",
            measured="Every cassette is played against the hub twice and against the stack; what differs and is "
            "neither noise nor declared counts.",
        ),
        measurements=[
            Measurement(
                what="scenarios that differ undeclared",
                observed=different,
                threshold=limit(Comparison.EQUAL, 0),
                counterexample=True,
            )
        ],
        evidence=[Evidence(what="scenarios", had=scenarios, least=least)],
        links=links,
    )


def latency(id: str, title: str, what: str, observed: float, most: float, plan: float, jobs: int) -> Criterion:  # noqa: A002
    return Criterion.judged(
        Statement(
            id=id,
            title=title,
            sentence=f"{title}, with 48 workers connected.",
            source="Plan, phase 2B",
            measured="From the intended moment of the submit, at a steady 50 jobs/s, at full resolution.",
        ),
        measurements=[
            Measurement(
                what=f"p99 of {what}", observed=observed, unit="ms", threshold=limit(Comparison.BELOW, most, plan)
            )
        ],
        evidence=[Evidence(what="jobs", had=jobs, least=1000), Evidence(what="workers", had=48, least=40)],
        links=[Link(to=LinkTo.FIGURE, ref=f"{id}-latency", label="the distribution")],
    )


def nothing_lost(lost: int, twice: int, kills: int) -> Criterion:
    def none(what: str, count: int) -> Measurement:
        return Measurement(what=what, observed=count, threshold=limit(Comparison.EQUAL, 0), counterexample=True)

    return Criterion.judged(
        Statement(
            id="nothing-lost",
            title="No job lost when workers die",
            sentence="No acknowledged job is lost or ended twice while workers are killed.",
            source="Plan, phase 2B",
            measured="2,000 jobs while a third of the workers is killed in waves; the history of all that clients, "
            "workers and Redis saw is checked.",
        ),
        measurements=[none("jobs lost", lost), none("jobs ended twice", twice)],
        evidence=[Evidence(what="jobs", had=2000, least=2000), Evidence(what="kills", had=kills, least=100)],
        links=[Link(to=LinkTo.TALLY, ref="crash-jobs", label="what became of every job")]
        + ([Link(to=LinkTo.TIMELINE, ref="lost-0001", label="the first lost job")] if lost else []),
    )


def others() -> list[Criterion]:
    def one(id: str, title: str, what: str, observed: float, unit: str, threshold: Threshold) -> Criterion:  # noqa: A002
        return Criterion.judged(
            Statement(
                id=id,
                title=title,
                sentence=f"{title}.",
                source="Plan, success criteria",
                measured="As docs/criteria.md says.",
            ),
            measurements=[Measurement(what=what, observed=observed, unit=unit, threshold=threshold)],
            evidence=[Evidence(what="samples", had=60, least=30)],
        )

    return [
        one("recovery", "A killed worker's job runs again soon", "slowest recovery", 16_120, "ms",
            limit(Comparison.AT_MOST, 17_000)),
        one("memory", "Less memory than the hub", "API's memory against the hub's", 61.4, "%",
            limit(Comparison.BELOW, 100)),
        one("conflicts", "Two workers never hold one job", "double claims", 0, "", limit(Comparison.EQUAL, 0)),
        one("simplicity", "Simpler than the hub", "lines of code against the hub's", 46.8, "%",
            limit(Comparison.AT_MOST, 50)),
        one("functionality", "All features are there", "scenario suites failed", 0, "", limit(Comparison.EQUAL, 0)),
    ]  # fmt: skip


def promise(number: int) -> Criterion:
    """One of the many that pass in a whole run, with three figures."""
    measured = [
        Measurement(what=f"what counts of it, of the {place} kind", observed=0, unit="", counterexample=True,
                    threshold=limit(Comparison.AT_MOST, 0))
        for place in ("first", "second", "third")
    ]  # fmt: skip
    statement = Statement(
        id=f"promise-{number}",
        title=f"What the plan says in its sentence {number} holds",
        sentence="It holds for everybody, always.",
        source="The plan.",
        measured="By what the clients saw.",
    )
    return Criterion.judged(statement, measurements=measured, evidence=[Evidence(what="jobs", had=2_000, least=100)])
