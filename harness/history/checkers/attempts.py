"""Attempts: progress as the script says, an end as the script says, and a retry as often and as late as allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from harness.history.check_result import CheckResult, Findings, Limits, Overdue
from harness.history.events import HistoryEvent, Source
from harness.history.history import History, JobHistory
from harness.protocols import ATTEMPT_ENDS, ENDS, EventKind

FAILURES = (EventKind.ATTEMPT_FAILED, EventKind.FAILED)
STARTS_OVER = (ATTEMPT_ENDS - ENDS) | {EventKind.CLAIMED, EventKind.RETRIED}
"""After one of these progress begins anew."""

SEEN: Final = frozenset({EventKind.DELIVERED, EventKind.UNSUBSCRIBED})

TIMED_OUT: Final = "timed out"
"""How the error of an attempt begins that was stopped at its job's time-out."""
FREE_BEFORE_MS: Final = 100.0
FREE_AFTER_MS: Final = 20.0
"""A worker that holds nothing for so long around a claim had a free place; one between two jobs has not."""


def check_progress_back(history: History, _limits: Limits) -> CheckResult:
    """Within one attempt progress never falls, in the log as for every subscriber; after the end there is none."""
    found = Findings("progress_back")
    for job in history.jobs.values():
        found.examined += sum(1 for event in job.log if event.kind is EventKind.PROGRESS)
        _falls(job.id, ((event.kind, event) for event in job.log), None, found)
        for subscriber in dict.fromkeys(event.by for event in job.events if event.kind is EventKind.DELIVERED):
            seen = (e for e in job.events if e.kind in SEEN and e.by == subscriber)
            _falls(job.id, ((event.of or event.kind, event) for event in seen), subscriber, found)
    return found.result()


def _falls(
    job_id: str, events: Iterable[tuple[EventKind | None, HistoryEvent]], subscriber: str | None, found: Findings
) -> None:
    highest = -1.0
    ending: EventKind | None = None
    for kind, event in events:
        if kind in STARTS_OVER:
            highest, ending = -1.0, None
        elif kind in ENDS:
            ending = kind
        elif kind is EventKind.UNSUBSCRIBED:
            highest = -1.0  # another attempt may begin while nobody listens
        elif kind is EventKind.PROGRESS and event.progress is not None and event.progress >= 0:
            if ending in (EventKind.COMPLETED, EventKind.FAILED):
                sentence = f"progress {event.progress:g} after {ending}"
                found.accuse(job_id, "after the end", event.at_ms, sentence, subscriber=subscriber)
            elif event.progress < highest:
                sentence = f"progress {event.progress:g} after {highest:g} in the same attempt"
                found.accuse(job_id, "fell", event.at_ms, sentence, subscriber=subscriber)
            else:
                highest = event.progress


def check_steps(history: History, _limits: Limits) -> CheckResult:
    """A completed job's log has every step of its script, in order and once (only the submitter knows the script)."""
    found = Findings("steps")
    for job in history.acknowledged:
        steps = job.submit.steps if job.submit else None
        lease = next((one for one in job.leases if one.end and one.end.kind is EventKind.COMPLETED), None)
        if steps is None or lease is None:
            continue
        found.examined += 1
        seen = [e.progress for e in job.attempt_under(lease) if e.kind is EventKind.PROGRESS and e.progress is not None]
        if wrong := _compare(list(steps), seen):
            found.accuse(job.id, wrong[0], lease.until_ms or lease.claim.at_ms, wrong[1])
    return found.result()


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


def check_ended_otherwise(history: History, limits: Limits) -> CheckResult:
    """A job ends as its script says: what cannot fail does not fail because somebody stopped a worker.

    But for one whose workers were lost as often as the system allows, each by the harness's own hand.
    """
    found = Findings("ended_otherwise")
    for job in history.acknowledged:
        expected = job.submit.expects if job.submit else None
        if expected is None:
            continue
        for event in job.log:
            found.examined += event.kind in ENDS | {EventKind.ATTEMPT_FAILED}
            if {expected, event.kind} == {EventKind.COMPLETED, EventKind.FAILED} and not _killed_away(
                job, event, history, limits
            ):
                error = f" ({event.error})" if event.error else ""
                made = f"{event.worker_id or 'the system'} made it {event.kind}{error}"
                said = f"its script leads to {expected}, but {made}"
                found.accuse(job.id, str(event.kind), event.at_ms, said, overdue=_too_slow(job, event))
    return found.result()


def _too_slow(job: JobHistory, end: HistoryEvent) -> Overdue | None:
    """How long an attempt took that ran out of time, or the attempts that lost their leases; half may be enough."""
    timed_out = (end.error or "").startswith(TIMED_OUT)
    leases = [one for one in job.leases if (one.end is end if timed_out else one.claim.at_ms <= end.at_ms)]
    if not leases or (end.worker_id and not timed_out):
        return None
    began_ms = leases[0].claim.at_ms
    return Overdue(began_ms, end.at_ms, (end.at_ms - began_ms) / 2)


def _killed_away(job: JobHistory, end: HistoryEvent, history: History, limits: Limits) -> bool:
    lost = [lease for lease in job.leases if lease.end and lease.end.kind is EventKind.LEASE_EXPIRED]
    lost += [lease for lease in job.leases if lease.end is end]
    return len(lost) >= limits.max_deliveries and not any(
        history.was_sound(lease.worker_id, lease.claim.at_ms, lease.until_ms or end.at_ms) for lease in lost
    )


def check_retries(history: History, limits: Limits) -> CheckResult:
    """A failed job runs again, up to its limit and no more, later, and not at once where it failed."""
    found = Findings("retries")
    for job in history.jobs.values():
        failures = [event for event in job.log if event.kind in FAILURES]
        found.examined += len(failures)
        if failures:
            _count(job, history, limits, found)
            _next_attempts(job, history, limits, found)
    return found.result()


def _count(job: JobHistory, history: History, limits: Limits, found: Findings) -> None:
    allowed = limits.max_retries + 1
    if job.submit and job.submit.max_retries is not None:
        allowed = job.submit.max_retries + 1
    # The hub has one word for a failure that is retried and for the last one.
    tells_last = history.log_source is Source.REDIS
    failed = lost = 0
    for event in job.log:
        lost += event.kind is EventKind.LEASE_EXPIRED
        if event.kind is EventKind.RETRIED:
            failed = lost = 0
        elif event.kind in FAILURES and event.worker_id:
            failed += 1
            is_last = failed == allowed and event.kind is EventKind.ATTEMPT_FAILED and tells_last
            if failed > allowed or is_last:
                said = f"failed attempt number {failed} is {event.kind}, although {allowed} attempts are all"
                found.accuse(job.id, "too many", event.at_ms, said)
            elif event.kind is EventKind.FAILED and failed < allowed and lost + 1 < limits.max_deliveries:
                said = f"failed for good after {failed} failed attempts of {allowed}"
                found.accuse(job.id, "given up early", event.at_ms, said)


def _next_attempts(job: JobHistory, history: History, limits: Limits, found: Findings) -> None:
    for lease, following in pairwise(job.leases):
        end, claim = lease.end, following.claim
        if not end or end.kind is not EventKind.ATTEMPT_FAILED or _by_hand(job, end, claim):
            continue
        waited_ms = claim.at_ms - end.at_ms
        if waited_ms < limits.retry_backoff_ms:
            said = f"claimed {waited_ms:.0f} ms after it failed; the delay is {limits.retry_backoff_ms:g} ms"
            found.accuse(job.id, "too soon", claim.at_ms, said)
        if following.worker_id == lease.worker_id and (other := _another_free(claim, history, limits)):
            said = f"{lease.worker_id} failed it and got it again, although {other} was alive and had nothing to do"
            window_ms = FREE_BEFORE_MS + FREE_AFTER_MS
            asked = Overdue(claim.at_ms - FREE_BEFORE_MS, claim.at_ms + FREE_AFTER_MS, window_ms)
            found.accuse(job.id, "same worker", claim.at_ms, said, overdue=asked)


def _by_hand(job: JobHistory, after: HistoryEvent, before: HistoryEvent) -> bool:
    """Somebody asked for this attempt; then neither the delay nor the choice of the worker is owed."""
    return any(event.kind is EventKind.RETRIED and after.at_ms <= event.at_ms <= before.at_ms for event in job.log)


def _another_free(claim: HistoryEvent, history: History, limits: Limits) -> str | None:
    """A worker of the same service that was heard of shortly before the claim and after it, and held nothing then."""
    signs = [e for e in history.log if e.worker_id not in (None, claim.worker_id) and e.service == claim.service]
    window = limits.lease_ms / 2
    before = {e.worker_id or "" for e in signs if claim.at_ms - window <= e.at_ms <= claim.at_ms}
    after = {e.worker_id or "" for e in signs if claim.at_ms <= e.at_ms <= claim.at_ms + window}
    begin, end = claim.at_ms - FREE_BEFORE_MS, claim.at_ms + FREE_AFTER_MS
    busy = {
        lease.worker_id
        for job in history.jobs.values()
        for lease in job.leases
        if lease.claim.at_ms <= end and (lease.until_ms is None or lease.until_ms >= begin)
    }
    sound = (w for w in sorted(before & after) if history.was_sound(w, claim.at_ms - window, claim.at_ms + window))
    return next((worker for worker in sound if worker not in busy), None)
