"""Who holds a job: one worker at a time, not taken away without cause, and nobody once it was cancelled."""

from __future__ import annotations

from itertools import pairwise

from harness.history.events import HistoryEvent, Source
from harness.history.history import History, Hold, JobHistory
from harness.history.verdicts import CheckResult, Limits, Violation
from harness.protocols import EventKind


def check_held_by_two(history: History, _limits: Limits) -> CheckResult:
    """At most one hold at a time, each with a newer fencing token, and nothing accepted from an older one."""
    violations: list[Violation] = []
    examined = 0
    for job in history.jobs.values():
        examined += len(job.holds)
        violations += _overlaps(job, history)
        violations += _stale(job)
    return CheckResult(name="held_by_two", examined=examined, violations=tuple(violations))


def _overlaps(job: JobHistory, history: History) -> list[Violation]:
    found = []
    for hold, following in pairwise(job.holds):
        claim = following.claim
        if hold.ended_by_claim and not _excused(hold, claim, history):
            sentence = f"claimed by {following.worker_id} while {hold.worker_id} still held it"
            found.append(Violation(job_id=job.id, form="two at once", sentence=sentence, at_ms=claim.at_ms))
        elif claim.attempt and claim.attempt <= hold.claim.attempt:
            sentence = f"claimed as attempt {claim.attempt} after attempt {hold.claim.attempt}: the fence does not rise"
            found.append(Violation(job_id=job.id, form="fence not rising", sentence=sentence, at_ms=claim.at_ms))
    return found


def _excused(hold: Hold, claim: HistoryEvent, history: History) -> bool:
    """A hub tells nobody when it takes a job from a worker that is gone; the harness knows that it is gone."""
    if history.log_source is not Source.MONITOR:
        return False
    return not history.was_sound(hold.worker_id, hold.claim.at_ms, claim.at_ms)


def _stale(job: JobHistory) -> list[Violation]:
    """Progress or an end accepted from a worker that does not hold the job now."""
    found = []
    current: HistoryEvent | None = None
    for event in job.log:
        if event.kind is EventKind.CLAIMED:
            current = event
        elif event.kind in (EventKind.PROGRESS, EventKind.COMPLETED) and _from_another(event, current):
            holder = f"{current.worker_id} (attempt {current.attempt})" if current else "nobody"
            sentence = (
                f"{event.kind} of {event.worker_id} (attempt {event.attempt}) was accepted while {holder} held it"
            )
            found.append(Violation(job_id=job.id, form="stale accepted", sentence=sentence, at_ms=event.at_ms))
        elif event.kind in (EventKind.LEASE_EXPIRED, EventKind.RELEASED, EventKind.ATTEMPT_FAILED):
            current = None
    return found


def _from_another(event: HistoryEvent, current: HistoryEvent | None) -> bool:
    if current is None:
        return True
    if event.attempt and current.attempt:
        return event.attempt != current.attempt
    return bool(event.worker_id and current.worker_id and event.worker_id != current.worker_id)


def check_taken_without_cause(history: History, limits: Limits) -> CheckResult:
    """A lease runs out only on a worker that something was done to: a sound worker renews it."""
    violations = []
    examined = 0
    for job in history.jobs.values():
        for hold in job.holds:
            if hold.until_ms is None:
                continue
            examined += 1
            if not hold.end or hold.end.kind is not EventKind.LEASE_EXPIRED:
                continue
            from_ms = max(hold.claim.at_ms, hold.end.at_ms - 2 * limits.lease_ms) - limits.clock_slack_ms
            if history.was_sound(hold.worker_id, from_ms, hold.end.at_ms):
                sentence = (
                    f"taken from {hold.worker_id} after {hold.end.at_ms - hold.claim.at_ms:.0f} ms, which was sound"
                )
                violations.append(
                    Violation(job_id=job.id, form="lease not renewed", sentence=sentence, at_ms=hold.end.at_ms)
                )
    return CheckResult(name="taken_without_cause", examined=examined, violations=tuple(violations))


def check_started_after_cancel(history: History, limits: Limits) -> CheckResult:
    """Once a job is cancelled nobody begins it, goes on with it as if nothing had happened, or is told that it did."""
    violations: list[Violation] = []
    examined = 0
    for job in history.jobs.values():
        cancelled: HistoryEvent | None = None
        for event in job.events:
            if event.kind is EventKind.RETRIED:
                cancelled = None
            elif event.kind in (EventKind.CANCELLED, EventKind.CANCEL_ACCEPTED) and cancelled is None:
                cancelled = event
                examined += 1
            elif cancelled:
                violations += _after_cancel(job, cancelled, event, history, limits)
    return CheckResult(name="started_after_cancel", examined=examined, violations=tuple(violations))


def _after_cancel(
    job: JobHistory, cancelled: HistoryEvent, event: HistoryEvent, history: History, limits: Limits
) -> list[Violation]:
    late_ms = event.at_ms - cancelled.at_ms
    in_log = event.source is history.log_source and cancelled.source is event.source
    if not in_log and late_ms <= limits.clock_slack_ms:
        return []
    if event.kind is EventKind.CLAIMED or event.kind is EventKind.STARTED:
        form = "started"
    elif event.kind is EventKind.PROGRESS:
        form = "progress accepted"
    else:
        return []
    sentence = f"{event.kind} by {event.worker_id} {late_ms:.0f} ms after it was cancelled"
    return [Violation(job_id=job.id, form=form, sentence=sentence, at_ms=event.at_ms)]


def check_cancel_ignored(history: History, limits: Limits) -> CheckResult:
    """The worker of a cancelled job stops: it does not still say that it runs it long after."""
    violations: list[Violation] = []
    examined = 0
    reports = [event for event in history.events if event.kind is EventKind.WORKER_STATUS]
    for job in history.jobs.values():
        for hold in job.holds:
            if not hold.end or hold.end.kind is not EventKind.CANCELLED:
                continue
            due_ms = hold.end.at_ms + limits.cancel_within_ms
            claimed_again = next((h.claim.at_ms for h in job.holds if h.claim.at_ms > hold.end.at_ms), float("inf"))
            later = [r for r in reports if r.worker_id == hold.worker_id and due_ms < r.at_ms < claimed_again]
            if not later or not history.was_sound(hold.worker_id, hold.end.at_ms, later[0].at_ms):
                continue
            examined += 1
            if job.id in (later[0].running or ()):
                late = later[0].at_ms - hold.end.at_ms
                sentence = f"{hold.worker_id} still runs it {late:.0f} ms after it was cancelled"
                violations.append(
                    Violation(job_id=job.id, form="still running", sentence=sentence, at_ms=later[0].at_ms)
                )
    return CheckResult(name="cancel_ignored", examined=examined, violations=tuple(violations))
