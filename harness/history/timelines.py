"""The timeline of a job in trouble: what everybody saw of it, and what was broken meanwhile."""

from __future__ import annotations

from typing import Final

from harness.history.events import HistoryEvent, Source
from harness.history.history import History
from harness.history.verdicts import CheckResult
from harness.protocols import EventKind

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
