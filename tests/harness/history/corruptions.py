"""Ways to spoil a sound history: each breaks one promise and says which checker has to find which job in which form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import msgspec

from harness.history import History, HistoryEvent, JobHistory, Source
from harness.history.checkers.order import Pending
from harness.history.history import LeaseInterval
from harness.protocols import EventKind, JobState

Corruption = Callable[[History, Random], "tuple[list[HistoryEvent], str] | None"]
CORRUPTIONS: dict[str, tuple[str, str, Corruption]] = {}
"""By name: the checker, the form it has to report, and the corruption: history, random -> (events, job id), or None
where the history has nothing that could be spoilt in this way."""
ENDS = {EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELLED}
change = msgspec.structs.replace


def corruption(check: str, form: str) -> Callable[[Corruption], Corruption]:
    def register(function: Corruption) -> Corruption:
        CORRUPTIONS[function.__name__] = (check, form, function)
        return function

    return register


def pick(random: Random, found: Iterator[HistoryEvent] | list[HistoryEvent]) -> HistoryEvent | None:
    events = list(found)
    return random.choice(events) if events else None


def log_of(history: History, *kinds: EventKind) -> list[HistoryEvent]:
    return [event for event in history.log if event.kind in kinds]


def without(history: History, *gone: HistoryEvent) -> list[HistoryEvent]:
    return [event for event in history.events if not any(event is one for one in gone)]


def put(history: History, old: HistoryEvent, *new: HistoryEvent) -> list[HistoryEvent]:
    return [n for event in history.events for n in (new if event is old else (event,))]


def later(history: History, event: HistoryEvent, **changes: object) -> list[HistoryEvent]:
    """The history with a changed copy of the event right after it."""
    changes = {"at_ms": event.at_ms + 0.001, "entry": f"x{event.entry}", **changes}
    return put(history, event, event, change(event, **changes))


def frozen_at(history: History, job: JobHistory, at_ms: float, state: JobState, idle_ms: float) -> list[HistoryEvent]:
    """Nothing happens to this job after that moment, and the run lasts for so long afterwards."""
    gone = (*LOGGED, EventKind.DELIVERED, EventKind.STATUS, EventKind.CANCEL, EventKind.CANCEL_ACCEPTED)
    kept = [
        e for e in history.events
        if e.kind is not EventKind.SETTLED and not (e.job_id == job.id and e.at_ms > at_ms and e.kind in gone)
    ]  # fmt: skip
    end_ms = max(history.ended_ms, at_ms + idle_ms)
    status = HistoryEvent(at_ms=end_ms, source=Source.API, kind=EventKind.STATUS, job_id=job.id, state=state)
    return [*kept, status, HistoryEvent(at_ms=end_ms, source=Source.HARNESS, kind=EventKind.SETTLED)]


LOGGED = (
    *ENDS,
    EventKind.CLAIMED,
    EventKind.PROGRESS,
    EventKind.ATTEMPT_FAILED,
    EventKind.RELEASED,
    EventKind.LEASE_EXPIRED,
    EventKind.RETRIED,
)


def leases(
    history: History, random: Random, ended_by: EventKind | None = None
) -> list[tuple[JobHistory, LeaseInterval]]:
    found = [
        (job, lease)
        for job in history.jobs.values()
        for lease in job.leases
        if lease.end and (ended_by is None or lease.end.kind is ended_by)
    ]
    random.shuffle(found)
    return found


# lost and stuck
@corruption("lost", "unknown")
def the_server_forgets_a_job(history: History, random: Random) -> tuple[list[HistoryEvent], str] | None:
    status = pick(random, [e for e in history.events if e.kind is EventKind.STATUS])
    assert status
    return put(history, status, change(status, state=JobState.UNKNOWN)), status.job_id or ""


@corruption("lost", "never queued")
def an_acknowledged_job_never_enters_the_queue(history: History, random: Random):  # type: ignore[no-untyped-def]
    if len(history.acknowledged) < 2:
        return None
    job = random.choice(history.acknowledged)
    client = (EventKind.SUBMIT, EventKind.ACCEPTED, EventKind.SUBSCRIBED)
    return [e for e in history.events if e.job_id != job.id or e.kind in client], job.id


@corruption("lost", "held by the dead")
def nobody_reaps(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, lease in leases(history, random, EventKind.LEASE_EXPIRED):
        kills = [e for e in history.worker_faults(lease.worker_id) if e.kind is EventKind.KILLED]
        killed = next((e for e in kills if e.worker_id == lease.worker_id and e.at_ms >= lease.claim.at_ms), None)
        if killed and lease.until_ms and killed.at_ms < lease.until_ms:
            return frozen_at(history, job, lease.until_ms - 0.0001, JobState.CLAIMED, 6_000), job.id
    return None


@corruption("lost", "in no queue")
def a_claim_in_two_steps_crashes_between(history: History, random: Random):  # type: ignore[no-untyped-def]
    job = random.choice(history.acknowledged)
    events = frozen_at(history, job, job.log[0].at_ms, JobState.PENDING, 6_000)
    first = job.log[0]
    end_ms = events[-1].at_ms
    other = change(first, job_id="later-job", at_ms=end_ms - 30, entry="y1", priority=first.priority)
    claimed = change(other, kind=EventKind.CLAIMED, at_ms=end_ms - 20, entry="y2", worker_id="w9", attempt=1)
    return [*events, other, claimed], job.id


@corruption("stuck", "pending")
def a_job_waits_for_ever(history: History, random: Random):  # type: ignore[no-untyped-def]
    job = random.choice(history.acknowledged)
    until_ms = job.log[0].at_ms + 500
    early = History(event for event in history.events if event.at_ms <= until_ms)
    return frozen_at(early, job, job.log[0].at_ms, JobState.PENDING, 90_000), job.id


@corruption("recovery", "never")
def a_killed_workers_job_never_comes_back(history: History, random: Random):  # type: ignore[no-untyped-def]
    return nobody_reaps(history, random)


@corruption("accounting", "end forgotten")
def the_server_forgets_an_end(history: History, random: Random):  # type: ignore[no-untyped-def]
    status = pick(random, [e for e in history.events if e.kind is EventKind.STATUS])
    assert status
    return put(history, status, change(status, state=JobState.PENDING)), status.job_id


@corruption("accounting", "ended unannounced")
def an_end_without_an_event(history: History, random: Random):  # type: ignore[no-untyped-def]
    ending = pick(random, [job.log[-1] for job in history.jobs.values() if job.log[-1].kind in ENDS])
    return (without(history, ending), ending.job_id) if ending else None


# ends
@corruption("ended_twice", "another end")
def a_late_completion_overwrites_a_cancel(history: History, random: Random):  # type: ignore[no-untyped-def]
    cancelled = pick(random, log_of(history, EventKind.CANCELLED))
    return (later(history, cancelled, kind=EventKind.COMPLETED), cancelled.job_id) if cancelled else None


@corruption("ended_twice", "same end again")
def a_job_completes_twice(history: History, random: Random):  # type: ignore[no-untyped-def]
    completed = pick(random, log_of(history, EventKind.COMPLETED))
    return (later(history, completed), completed.job_id) if completed else None


@corruption("ended_otherwise", "failed")
def a_stopped_worker_fails_its_job(history: History, random: Random):  # type: ignore[no-untyped-def]
    completed = pick(random, log_of(history, EventKind.COMPLETED))
    return (put(history, completed, change(completed, kind=EventKind.FAILED)), completed.job_id) if completed else None


# leases
@corruption("double_claim", "two at once")
def two_workers_claim_one_job(history: History, random: Random):  # type: ignore[no-untyped-def]
    claim = pick(random, log_of(history, EventKind.CLAIMED))
    return (later(history, claim, worker_id="w9", attempt=claim.attempt + 1), claim.job_id) if claim else None


@corruption("double_claim", "stale accepted")
def an_old_attempt_is_accepted(history: History, random: Random):  # type: ignore[no-untyped-def]
    claim = pick(random, [e for e in log_of(history, EventKind.CLAIMED) if e.attempt > 1])
    old = {"kind": EventKind.PROGRESS, "progress": 1.0, "worker_id": "w9"}
    return (later(history, claim, attempt=claim.attempt - 1, **old), claim.job_id) if claim else None


@corruption("double_claim", "fence not rising")
def the_fence_does_not_rise(history: History, random: Random):  # type: ignore[no-untyped-def]
    """Under another worker: its own attempt a worker may take up again."""
    claim = pick(random, [e for e in log_of(history, EventKind.CLAIMED) if e.attempt == 2])
    return (put(history, claim, change(claim, attempt=1, worker_id="w9")), claim.job_id) if claim else None


@corruption("unjustified_expiry", "lease not renewed")
def a_sound_worker_loses_its_lease(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, lease in leases(history, random):
        if lease.until_ms and history.was_sound(lease.worker_id, lease.claim.at_ms - 2_000, lease.until_ms):
            return later(history, lease.claim, kind=EventKind.LEASE_EXPIRED), job.id
    return None


# cancel
@corruption("started_after_cancel", "started")
def a_cancelled_job_is_claimed(history: History, random: Random):  # type: ignore[no-untyped-def]
    cancelled = pick(random, log_of(history, EventKind.CANCELLED))
    changes = {"kind": EventKind.CLAIMED, "worker_id": "w9"}
    return (later(history, cancelled, **changes), cancelled.job_id) if cancelled else None


@corruption("started_after_cancel", "progress accepted")
def a_cancelled_job_goes_on(history: History, random: Random):  # type: ignore[no-untyped-def]
    cancelled = pick(random, log_of(history, EventKind.CANCELLED))
    changes = {"kind": EventKind.PROGRESS, "progress": 99.0}
    return (later(history, cancelled, **changes), cancelled.job_id) if cancelled else None


@corruption("cancel_ignored", "still running")
def a_worker_works_on_a_cancelled_job(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, lease in leases(history, random, EventKind.CANCELLED):
        if not lease.until_ms or any(h.claim.at_ms > lease.until_ms for h in job.leases):
            continue
        reports = [e for e in history.events if e.kind is EventKind.WORKER_STATUS and e.worker_id == lease.worker_id]
        report = next((e for e in reports if e.at_ms > lease.until_ms + 300), None)
        if report and history.was_sound(lease.worker_id, lease.until_ms, report.at_ms):
            return put(history, report, change(report, running=(job.id,))), job.id
    return None


# order
@corruption("out_of_order", "lower priority first")
def a_higher_priority_is_passed_over(history: History, random: Random):  # type: ignore[no-untyped-def]
    passed = _waiting_pair(history, random)
    if passed is None:
        return None
    claim, waiting = passed
    submitted = history.jobs[waiting].log[0]
    return put(history, submitted, change(submitted, priority=claim.priority + 1)), claim.job_id


def _waiting_pair(history: History, random: Random) -> tuple[HistoryEvent, str] | None:
    """A claim, and a job of its service that was waiting then and ranked behind."""
    line, pairs = Pending(), []
    for event in history.log:
        line.take(event)
        if event.kind is EventKind.CLAIMED:
            beyond = change(event, job_id="beyond")
            line.ranks["beyond"] = line.ranks[event.job_id or ""]._replace(minus_priority=9_999)
            pairs += [(event, rank.job_id) for rank in line.ahead_of(beyond, 0)]
    return random.choice(pairs) if pairs else None


@corruption("out_of_order", "younger first")
def last_in_first_out(history: History, random: Random):  # type: ignore[no-untyped-def]
    """Two jobs of equal rank that wait together: their claims swap jobs."""
    claims = {e.job_id: e for e in log_of(history, EventKind.CLAIMED) if e.attempt == 1}
    by_hand = {e.job_id for e in log_of(history, EventKind.RETRIED)}
    entered = [e for e in log_of(history, EventKind.SUBMITTED) if e.job_id in claims and e.job_id not in by_hand]
    for old in random.sample(entered, len(entered)):
        for young in entered:
            same = (old.service, old.priority) == (young.service, young.priority)
            first = claims[old.job_id]
            if same and old.at_ms < young.at_ms < first.at_ms < claims[young.job_id].at_ms:
                taken = change(first, job_id=young.job_id)
                return put(history, first, taken), young.job_id
    return None


@corruption("out_of_order", "entered early")
def jobs_enter_out_of_turn(history: History, random: Random):  # type: ignore[no-untyped-def]
    entered = log_of(history, EventKind.SUBMITTED)
    if len(entered) < 2:
        return None
    first, second = sorted(random.sample(entered, 2), key=lambda event: event.at_ms)
    swapped = change(second, at_ms=first.at_ms - 0.0001)
    return put(history, second, swapped), second.job_id


# progress
@corruption("progress_back", "fell")
def progress_falls(history: History, random: Random):  # type: ignore[no-untyped-def]
    moved = pick(random, [e for e in log_of(history, EventKind.PROGRESS) if (e.progress or 0) > 1])
    return (later(history, moved, progress=0.5), moved.job_id) if moved else None


@corruption("progress_back", "after the end")
def progress_after_the_end(history: History, random: Random):  # type: ignore[no-untyped-def]
    completed = pick(random, log_of(history, EventKind.COMPLETED))
    changes = {"kind": EventKind.PROGRESS, "progress": 100.0}
    return (later(history, completed, **changes), completed.job_id) if completed else None


def _step(history: History, random: Random) -> HistoryEvent | None:
    completed = [lease for _, lease in leases(history, random, EventKind.COMPLETED)]
    return pick(random, [e for lease in completed for e in lease.events if e.kind is EventKind.PROGRESS])


@corruption("steps", "dropped")
def a_step_never_reaches_the_log(history: History, random: Random):  # type: ignore[no-untyped-def]
    step = _step(history, random)
    return (without(history, step), step.job_id) if step else None


@corruption("steps", "repeated")
def a_step_is_logged_twice(history: History, random: Random):  # type: ignore[no-untyped-def]
    step = _step(history, random)
    return (later(history, step), step.job_id) if step else None


# retries
@corruption("retries", "too many")
def retried_without_limit(history: History, random: Random):  # type: ignore[no-untyped-def]
    failed = pick(random, log_of(history, EventKind.FAILED))
    return (put(history, failed, change(failed, kind=EventKind.ATTEMPT_FAILED)), failed.job_id) if failed else None


@corruption("retries", "given up early")
def a_retry_is_counted_twice(history: History, random: Random):  # type: ignore[no-untyped-def]
    failed = pick(random, [e for e in log_of(history, EventKind.ATTEMPT_FAILED) if e.attempt == 1])
    return (put(history, failed, change(failed, kind=EventKind.FAILED)), failed.job_id) if failed else None


@corruption("retries", "too soon")
def retried_at_once(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, lease in leases(history, random, EventKind.ATTEMPT_FAILED):
        following = next((h for h in job.leases if lease.until_ms and h.claim.at_ms >= lease.until_ms), None)
        between = (e for e in job.log if e.kind is EventKind.RETRIED)
        if following and lease.end and not any(True for _ in between):
            return put(history, following.claim, change(following.claim, at_ms=lease.end.at_ms + 5)), job.id
    return None


@corruption("retries", "same worker")
def retried_where_it_failed(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, lease in leases(history, random, EventKind.ATTEMPT_FAILED):
        following = next((h for h in job.leases if lease.until_ms and h.claim.at_ms >= lease.until_ms), None)
        if following is None or any(e.kind is EventKind.RETRIED for e in job.log):
            continue
        claim = following.claim
        alive = [
            change(
                claim, job_id="other-job", worker_id="w9", entry=f"z{n}", at_ms=claim.at_ms + n, kind=EventKind.PROGRESS
            )
            for n in (-1, 1)
        ]
        taken = change(claim, worker_id=lease.worker_id)
        if not history.was_sound("w9", claim.at_ms - 600, claim.at_ms + 600):
            continue
        return [*put(history, claim, taken), *alive], job.id
    return None
