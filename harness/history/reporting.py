"""What the checkers found, as the reports' model takes it: tallies and the timelines of jobs in trouble."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from harness.history.checkers import Place
from harness.history.events import HistoryEvent, Source
from harness.history.history import History
from harness.history.timelines import timeline
from harness.history.verdicts import CheckResult, Violation
from harness.protocols import EventKind
from harness.results import Tally, Timeline, TimelineEntry

MOST: Final = 5
"""Timelines per checker: enough to see what is wrong, and a report that stays small."""
BAD: Final = (Place.LOST,)


def timelines_of(
    history: History, results: Iterable[CheckResult], *, side: str = "stack", most: int = MOST
) -> list[Timeline]:
    """The lives of the first jobs in trouble of each checker, with the entry that it objects to marked."""
    return [
        _timeline(history, result.name, violation, f"{side}-{result.name}-{number}", side)
        for result in results
        for number, violation in enumerate(result.violations[:most], 1)
    ]


def _timeline(history: History, check: str, violation: Violation, name: str, side: str) -> Timeline:
    events = timeline(history, violation.job_id)
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
    counts = {place: accounting.counts.get(place, 0) for place in Place}
    return Tally.of(
        id=id,
        title=title,
        total_label="acknowledged jobs",
        total=accounting.counts.get("acknowledged", 0),
        good={str(place): count for place, count in counts.items() if place not in BAD},
        bad={str(place): count for place, count in counts.items() if place in BAD},
    )
