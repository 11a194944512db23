"""Who holds a job: one worker at a time, its lease running out for cause alone, and nobody once it was cancelled."""

from __future__ import annotations

from itertools import pairwise

from harness.history.check_result import CheckResult, Findings, Limits, Overdue
from harness.history.events import HistoryEvent, Source
from harness.history.history import History, JobHistory, LeaseInterval
from harness.protocols import EventKind


def check_double_claim(history: History, _limits: Limits) -> CheckResult:
    """At most one lease at a time, each with a newer fencing token, and nothing accepted under an older one."""
    found = Findings("double_claim")
    for job in history.jobs.values():
        found.examined += len(job.leases)
        _overlaps(job, history, found)
        _stale(job, found)
    return found.result()


def _overlaps(job: JobHistory, history: History, found: Findings) -> None:
    for lease, following in pairwise(job.leases):
        claim = following.claim
        if lease.ended_by_claim and not _excused(lease, claim, history):
            sentence = f"claimed by {following.worker_id} while {lease.worker_id} still held it"
            found.accuse(job.id, "two at once", claim.at_ms, sentence)
        elif claim.attempt and claim.attempt <= lease.claim.attempt and not lease.regained_by(claim):
            sentence = (
                f"claimed as attempt {claim.attempt} after attempt {lease.claim.attempt}: the fence does not rise"
            )
            found.accuse(job.id, "fence not rising", claim.at_ms, sentence)


def _excused(lease: LeaseInterval, claim: HistoryEvent, history: History) -> bool:
    """A hub notifies nobody when it takes a job from a worker that is gone; the harness knows that it is gone."""
    if history.log_source is not Source.MONITOR:
        return False
    return not history.was_sound(lease.worker_id, lease.claim.at_ms, claim.at_ms)


def _stale(job: JobHistory, found: Findings) -> None:
    """Progress or an end accepted from a worker that does not hold the job now."""
    current: HistoryEvent | None = None
    expired: HistoryEvent | None = None
    """The claim whose lease ran out: until somebody has claimed the job anew, its worker may still complete it."""
    for event in job.log:
        if event.kind is EventKind.CLAIMED:
            current, expired = event, None
        elif event.kind is EventKind.COMPLETED and expired and not _from_another(event, expired):
            expired = None
        elif event.kind in (EventKind.PROGRESS, EventKind.COMPLETED) and _from_another(event, current):
            holder = f"{current.worker_id} (attempt {current.attempt})" if current else "nobody"
            told = f"{event.kind} of {event.worker_id} (attempt {event.attempt})"
            found.accuse(job.id, "stale accepted", event.at_ms, f"{told} was accepted while {holder} held it")
        elif event.kind in (EventKind.LEASE_EXPIRED, EventKind.RELEASED, EventKind.ATTEMPT_FAILED):
            expired = current if event.kind is EventKind.LEASE_EXPIRED else None
            current = None


def _from_another(event: HistoryEvent, current: HistoryEvent | None) -> bool:
    if current is None:
        return True
    if event.attempt and current.attempt:
        return event.attempt != current.attempt
    return bool(event.worker_id and current.worker_id and event.worker_id != current.worker_id)


def check_unjustified_expiry(history: History, limits: Limits) -> CheckResult:
    """A lease runs out only on a worker that something was done to: a sound worker renews it."""
    found = Findings("unjustified_expiry")
    for job in history.jobs.values():
        for lease in job.leases:
            found.examined += lease.until_ms is not None
            if not lease.end or lease.end.kind is not EventKind.LEASE_EXPIRED:
                continue
            end_ms, began_ms = lease.end.at_ms, lease.claim.at_ms
            from_ms = max(began_ms, end_ms - 2 * limits.lease_ms) - limits.clock_slack_ms
            if history.was_sound(lease.worker_id, from_ms, end_ms):
                sentence = f"taken from {lease.worker_id} after {end_ms - began_ms:.0f} ms, which was sound"
                found.accuse(job.id, "lease not renewed", end_ms, sentence, overdue=renewal(lease, limits))
    return found.result()


def renewal(lease: LeaseInterval, limits: Limits) -> Overdue | None:
    """That of a lease that ran out; a worker renews it more than once in half of its time."""
    if lease.end is None or lease.end.kind is not EventKind.LEASE_EXPIRED:
        return None
    return Overdue(lease.end.at_ms - limits.lease_ms, lease.end.at_ms, limits.lease_ms / 2)


def check_started_after_cancel(history: History, limits: Limits) -> CheckResult:
    """Once a job is cancelled nobody begins it, goes on with it, or is notified that somebody did."""
    found = Findings("started_after_cancel")
    for job in history.jobs.values():
        cancelled: HistoryEvent | None = None
        for event in job.events:
            if event.kind is EventKind.RETRIED:
                cancelled = None
            elif event.kind in (EventKind.CANCELLED, EventKind.CANCEL_ACCEPTED) and cancelled is None:
                cancelled = event
                found.examined += 1
            elif cancelled and _could_not_hear(cancelled, event, job, history):
                continue
            elif cancelled and (form := _went_on(cancelled, event, history, limits)):
                late_ms = event.at_ms - cancelled.at_ms
                sentence = f"{event.kind} by {event.worker_id} {late_ms:.0f} ms after it was cancelled"
                heard = Overdue(cancelled.at_ms, event.at_ms, limits.clock_slack_ms)
                # By the system's own account nothing comes late; a worker has to hear of it first.
                in_log = event.source is history.log_source
                found.accuse(job.id, form, event.at_ms, sentence, overdue=None if in_log else heard)
    return found.result()


def _could_not_hear(cancelled: HistoryEvent, event: HistoryEvent, job: JobHistory, history: History) -> bool:
    """Whether a worker begins what it had claimed before, and was stopped, or its line was, since the cancel."""
    if event.source is not Source.WORKER or event.kind is not EventKind.STARTED or event.worker_id is None:
        return False
    mine = any(held.worker_id == event.worker_id and held.claim.at_ms < cancelled.at_ms for held in job.leases)
    return mine and not history.was_sound(event.worker_id, cancelled.at_ms, event.at_ms)


def _went_on(cancelled: HistoryEvent, event: HistoryEvent, history: History, limits: Limits) -> str | None:
    in_log = event.source is history.log_source and cancelled.source is event.source
    if not in_log and event.at_ms - cancelled.at_ms <= limits.clock_slack_ms:
        return None
    if event.kind in (EventKind.CLAIMED, EventKind.STARTED):
        return "started"
    return "progress accepted" if event.kind is EventKind.PROGRESS else None


def check_cancel_ignored(history: History, limits: Limits) -> CheckResult:
    """The worker of a cancelled job stops: it does not still say that it runs it long after."""
    found = Findings("cancel_ignored")
    reports = [event for event in history.events if event.kind is EventKind.WORKER_STATUS]
    for job in history.jobs.values():
        for lease in job.leases:
            if not lease.end or lease.end.kind is not EventKind.CANCELLED:
                continue
            end_ms = lease.end.at_ms
            claimed_again = next((h.claim.at_ms for h in job.leases if h.claim.at_ms > end_ms), float("inf"))
            due_ms = end_ms + limits.cancel_within_ms
            later = [r for r in reports if r.worker_id == lease.worker_id and due_ms < r.at_ms < claimed_again]
            if not later or not history.was_sound(lease.worker_id, end_ms, later[0].at_ms):
                continue
            found.examined += 1
            if job.id in (later[0].running or ()):
                sentence = f"{lease.worker_id} still runs it {later[0].at_ms - end_ms:.0f} ms after it was cancelled"
                stopped = Overdue(end_ms, later[0].at_ms, limits.cancel_within_ms)
                found.accuse(job.id, "still running", later[0].at_ms, sentence, overdue=stopped)
    return found.result()
