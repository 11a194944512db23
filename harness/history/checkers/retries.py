"""Failures: as the script says, so often as allowed, after the delay, and on another worker."""

from __future__ import annotations

from itertools import pairwise

from harness.history.events import HistoryEvent, Source
from harness.history.history import History, JobHistory
from harness.history.verdicts import CheckResult, Limits, Violation
from harness.protocols import ENDS, EventKind


def check_ended_otherwise(history: History, _limits: Limits) -> CheckResult:
    """A job ends as its script says: what cannot fail does not fail because somebody stopped a worker."""
    violations = []
    examined = 0
    for job in history.acknowledged:
        expected = job.submit.expects if job.submit else None
        if expected is None:
            continue
        for event in job.log:
            if event.kind in ENDS | {EventKind.ATTEMPT_FAILED}:
                examined += 1
            wrong = _other_than(expected, event)
            if wrong:
                told = _told(expected, event)
                violations.append(Violation(job_id=job.id, form=wrong, sentence=told, at_ms=event.at_ms))
    return CheckResult(name="ended_otherwise", examined=examined, violations=tuple(violations))


def _other_than(expected: EventKind, event: HistoryEvent) -> str | None:
    if expected is EventKind.COMPLETED and event.kind is EventKind.FAILED:
        return "failed"
    if expected is EventKind.FAILED and event.kind is EventKind.COMPLETED:
        return "completed"
    return None


def _told(expected: EventKind, event: HistoryEvent) -> str:
    error = f" ({event.error})" if event.error else ""
    return f"its script leads to {expected}, but {event.worker_id or 'the system'} made it {event.kind}{error}"


def check_retries(history: History, limits: Limits) -> CheckResult:
    """A failed job runs again, up to its limit and no more, later, and not at once where it failed."""
    violations: list[Violation] = []
    examined = 0
    for job in history.jobs.values():
        failures = [event for event in job.log if event.kind in (EventKind.ATTEMPT_FAILED, EventKind.FAILED)]
        examined += len(failures)
        if failures:
            violations += _count(job, history, limits)
            violations += _next_attempts(job, history, limits)
    return CheckResult(name="retries", examined=examined, violations=tuple(violations))


def _count(job: JobHistory, history: History, limits: Limits) -> list[Violation]:
    allowed = limits.max_retries + 1
    if job.submit and job.submit.max_retries is not None:
        allowed = job.submit.max_retries + 1
    found = []
    failed = 0
    for event in job.log:
        if event.kind is EventKind.RETRIED:
            failed = 0
        elif event.kind in (EventKind.ATTEMPT_FAILED, EventKind.FAILED) and event.worker_id:
            failed += 1
            if failed > allowed or (
                failed == allowed and event.kind is EventKind.ATTEMPT_FAILED and _tells_last(history)
            ):
                said = f"failed attempt number {failed} is {event.kind}, although {allowed} attempts are all"
                found.append(Violation(job_id=job.id, form="too many", sentence=said, at_ms=event.at_ms))
            elif event.kind is EventKind.FAILED and failed < allowed:
                said = f"failed for good after {failed} failed attempts of {allowed}"
                found.append(Violation(job_id=job.id, form="given up early", sentence=said, at_ms=event.at_ms))
    return found


def _tells_last(history: History) -> bool:
    """The hub has one word for a failure that is retried and for the last one."""
    return history.log_source is Source.REDIS


def _next_attempts(job: JobHistory, history: History, limits: Limits) -> list[Violation]:
    found = []
    for hold, following in pairwise(job.holds):
        if not hold.end or hold.end.kind is not EventKind.ATTEMPT_FAILED or _by_hand(job, hold.end, following.claim):
            continue
        waited_ms = following.claim.at_ms - hold.end.at_ms
        if waited_ms < limits.retry_backoff_ms:
            said = f"claimed {waited_ms:.0f} ms after it failed; the delay is {limits.retry_backoff_ms:g} ms"
            found.append(Violation(job_id=job.id, form="too soon", sentence=said, at_ms=following.claim.at_ms))
        if following.worker_id == hold.worker_id:
            other = _another_alive(following.claim, history, limits)
            if other:
                said = f"{hold.worker_id} failed it and got it again, although {other} was alive"
                found.append(Violation(job_id=job.id, form="same worker", sentence=said, at_ms=following.claim.at_ms))
    return found


def _by_hand(job: JobHistory, after: HistoryEvent, before: HistoryEvent) -> bool:
    """Somebody asked for this attempt; then neither the delay nor the choice of the worker is owed."""
    return any(event.kind is EventKind.RETRIED and after.at_ms <= event.at_ms <= before.at_ms for event in job.log)


def _another_alive(claim: HistoryEvent, history: History, limits: Limits) -> str | None:
    """A worker of the same service that was heard of both shortly before the claim and after it."""
    signs = [e for e in history.log if e.worker_id not in (None, claim.worker_id) and e.service == claim.service]
    window = limits.lease_ms / 2
    before = {e.worker_id or "" for e in signs if claim.at_ms - window <= e.at_ms <= claim.at_ms}
    after = {e.worker_id or "" for e in signs if claim.at_ms <= e.at_ms <= claim.at_ms + window}
    sound = (w for w in sorted(before & after) if history.was_sound(w, claim.at_ms - window, claim.at_ms + window))
    return next(sound, None)
