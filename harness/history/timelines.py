"""What the checkers found: the timeline of a job in trouble for terminal and report, and the tally of all jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from harness.history.check_result import CheckResult, Violation
from harness.history.checkers import FinalState
from harness.history.events import HistoryEvent, Source
from harness.history.history import History
from harness.protocols import EventKind
from harness.results import Tally, Timeline, TimelineEntry

MOST: Final = 5
"""Lives per checker: enough to see what is wrong, and a report that stays small."""
BAD: Final = (FinalState.LOST,)
MARGIN_MS: Final = 1_000.0
"""Faults so long before the job's first event still belong to its story."""


def timeline(history: History, job_id: str) -> list[HistoryEvent]:
    """The job's own events, and the faults that fall into its life or hit the workers that held it."""
    job = history.jobs.get(job_id)
    if job is None:
        return []
    first_ms = job.events[0].at_ms - MARGIN_MS
    last_ms = job.events[-1].at_ms
    workers = {event.worker_id for event in job.events if event.worker_id}
    faults = [
        event
        for event in history.faults
        if first_ms <= event.at_ms <= last_ms and (event.worker_id is None or event.worker_id in workers)
    ]
    return sorted([*job.events, *faults], key=lambda event: event.at_ms)


def explain(history: History, result: CheckResult, *, most: int = 10) -> list[str]:
    """A checker's violations as text, each with the timeline of its job; for a terminal and for logs."""
    lines: list[str] = []
    for violation in result.violations[:most]:
        lines.append(f"{result.name}: {violation.job_id}: {violation.form}: {violation.sentence}")
        events = timeline(history, violation.job_id)
        begin_ms = events[0].at_ms if events else 0.0
        lines += [f"  {event.at_ms - begin_ms:10.1f} ms  {describe(event)}" for event in events]
    if len(result.violations) > most:
        lines.append(f"{result.name}: {len(result.violations) - most} more")
    return lines


def describe(event: HistoryEvent) -> str:
    """One event in words: who saw what."""
    parts = [str(event.source), event.by, str(event.kind)]
    if event.of:
        parts.append(str(event.of))
    if event.progress is not None and EventKind.PROGRESS in (event.kind, event.of):
        parts.append(f"{event.progress:g} %")
    if event.worker_id and event.source is not Source.WORKER:
        parts.append(f"worker {event.worker_id}")
    if event.attempt:
        parts.append(f"attempt {event.attempt}")
    parts += [str(event.state) if event.state else "", event.target, event.error or "", event.note]
    return " ".join(part for part in parts if part)


def timelines_of(history: History, results: Iterable[CheckResult], *, side: str = "stack") -> list[Timeline]:
    """Every job in trouble of each checker; the lives of the first ones, with the entry that it objects to marked.

    What could not be decided is told as such.
    """
    return [
        _timeline(history, result.name, violation, f"{side}-{result.name}-{number}", side, told=number <= MOST)
        for result in results
        for number, violation in enumerate((*result.violations, *map(_open, result.undecided)), 1)
    ]


def _open(violation: Violation) -> Violation:
    said = f"{violation.sentence}, while others had the machine"
    return msgspec.structs.replace(violation, form=f"undecided, {violation.form}", sentence=said)


def _timeline(history: History, check: str, violation: Violation, name: str, side: str, *, told: bool) -> Timeline:
    events = timeline(history, violation.job_id) if told else []
    begin_ms = events[0].at_ms if events else 0.0
    wrong = _nearest(events, violation)
    return Timeline(
        id=name,
        job_id=violation.job_id,
        check=check,
        trouble=f"{violation.form}: {violation.sentence}",
        entries=tuple(_entry(event, begin_ms, wrong=event is wrong) for event in events),
        side=side,
    )


def _nearest(events: list[HistoryEvent], violation: Violation) -> HistoryEvent | None:
    at = [event for event in events if event.at_ms == violation.at_ms and violation.subscriber in (None, event.by)]
    return at[-1] if at else None


def _entry(event: HistoryEvent, begin_ms: float, *, wrong: bool) -> TimelineEntry:
    told = [event.by if event.source in (Source.CLIENT, Source.HARNESS) else "", event.target, str(event.state or "")]
    told += [f"{event.progress:g} %" if event.progress is not None else "", event.error or "", event.note]
    kind = f"{event.kind} {event.of}" if event.of else str(event.kind)
    return TimelineEntry(
        at_ms=round(event.at_ms - begin_ms, 1),
        source="fault" if event.source is Source.HARNESS and event.kind is not EventKind.SETTLED else str(event.source),
        kind=kind,
        worker_id=event.worker_id,
        attempt=event.attempt or None,
        note=" ".join(dict.fromkeys(word for word in told if word)),
        wrong=wrong,
    )


def tally_of(accounting: CheckResult, *, id: str = "jobs", title: str = "Where every acknowledged job is") -> Tally:  # noqa: A002 - the model's name
    """The accounting's counts, the lost ones marked as bad."""
    counts = {place: accounting.counts.get(place, 0) for place in FinalState}
    return Tally.of(
        id=id,
        title=title,
        total_label="acknowledged jobs",
        total=accounting.counts.get("acknowledged", 0),
        good={str(place): count for place, count in counts.items() if place not in BAD},
        bad={str(place): count for place, count in counts.items() if place in BAD},
    )
