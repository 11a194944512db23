"""Progress rises, none of it is lost on the way into the log, and none comes after the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.history.events import HistoryEvent
from harness.history.history import History, Hold, JobHistory
from harness.history.verdicts import CheckResult, Limits, Violation
from harness.protocols import ENDS, EventKind


def check_progress_back(history: History, _limits: Limits) -> CheckResult:
    """Within one attempt progress never falls, in the log as for every subscriber; after the end there is none."""
    violations: list[Violation] = []
    examined = 0
    for job in history.jobs.values():
        examined += sum(1 for event in job.log if event.kind is EventKind.PROGRESS)
        violations += _falls(job.id, ((event.kind, event) for event in job.log), None)
        for subscriber in dict.fromkeys(event.by for event in job.events if event.kind is EventKind.DELIVERED):
            got = (e for e in job.events if e.kind is EventKind.DELIVERED and e.by == subscriber)
            violations += _falls(job.id, ((event.of, event) for event in got), subscriber)
    return CheckResult(name="progress_back", examined=examined, violations=tuple(violations))


def _falls(
    job_id: str, events: Iterable[tuple[EventKind | None, HistoryEvent]], subscriber: str | None
) -> list[Violation]:
    found = []
    highest = -1.0
    ending: EventKind | None = None
    for kind, event in events:
        if kind in (
            EventKind.CLAIMED,
            EventKind.RETRIED,
            EventKind.RELEASED,
            EventKind.LEASE_EXPIRED,
            EventKind.ATTEMPT_FAILED,
        ):
            highest, ending = -1.0, None
        elif kind in ENDS:
            ending = kind
        elif kind is EventKind.PROGRESS and event.progress is not None and event.progress >= 0:
            if ending in (EventKind.COMPLETED, EventKind.FAILED):
                form, sentence = "after the end", f"progress {event.progress:g} after {ending}"
            elif event.progress < highest:
                form, sentence = "fell", f"progress {event.progress:g} after {highest:g} in the same attempt"
            else:
                highest = event.progress
                continue
            found.append(
                Violation(job_id=job_id, form=form, sentence=sentence, at_ms=event.at_ms, subscriber=subscriber)
            )
    return found


def check_steps(history: History, _limits: Limits) -> CheckResult:
    """A completed job's log has every step of its script, in order and once (only the submitter knows the script)."""
    violations: list[Violation] = []
    examined = 0
    for job in history.acknowledged:
        steps = job.submit.steps if job.submit else None
        hold = _completed_hold(job)
        if steps is None or hold is None:
            continue
        examined += 1
        seen = [e.progress for e in hold.events if e.kind is EventKind.PROGRESS and e.progress is not None]
        wrong = _compare(list(steps), seen)
        if wrong:
            at_ms = hold.until_ms or hold.claim.at_ms
            violations.append(Violation(job_id=job.id, form=wrong[0], sentence=wrong[1], at_ms=at_ms))
    return CheckResult(name="steps", examined=examined, violations=tuple(violations))


def _completed_hold(job: JobHistory) -> Hold | None:
    return next((hold for hold in job.holds if hold.end and hold.end.kind is EventKind.COMPLETED), None)


def _compare(steps: list[float], seen: list[float]) -> tuple[str, str] | None:
    """Extra values that the script does not name (a connector's own) are nobody's fault."""
    told = Counter(steps)
    missing = told - Counter(seen)
    repeated = (Counter(value for value in seen if value in told)) - told
    if missing:
        return "dropped", f"the script's steps {_words(missing)} are not in the log, which has {seen}"
    if repeated:
        return "repeated", f"the steps {_words(repeated)} are in the log more often than in the script"
    if [value for value in seen if value in told] != steps:
        return "reordered", f"the steps are in the log as {seen}, in the script as {steps}"
    return None


def _words(values: Counter[float]) -> str:
    return ", ".join(f"{value:g}" for value in values.elements())
