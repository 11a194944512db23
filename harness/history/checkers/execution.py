"""What workers really ran, by their own journals, held against the system's account and what clients were told."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from harness.history.check_result import CheckResult, Findings, Limits, Overdue
from harness.history.checkers.leases import renewal
from harness.history.events import HistoryEvent
from harness.history.history import History, JobHistory, LeaseInterval, WorkerRun
from harness.protocols import ATTEMPT_ENDS, ENDS, EventKind

UNSAVED_MS: Final = 2_000.0
"""A Redis that is killed may forget what it was told so shortly before: its append-only file is synced every second."""
REDIS_AWAY: Final = frozenset({EventKind.REDIS_DOWN})
"""No cause to run anything again: while Redis is away no lease runs out, and ends wait."""


def check_run_twice(history: History, limits: Limits) -> CheckResult:
    """A job is run again only after an attempt that failed, or where something was done to its worker.

    Counts: `repeated` runs that had come to their end, with a cause.
    """
    found = Findings("run_twice")
    repeated = 0
    for job in history.jobs.values():
        found.examined += len(job.runs)
        attempts: set[int] = set()
        for run in job.runs:
            number = run.started.attempt
            if number in attempts:
                sentence = f"{run.worker_id} ran attempt {number}, which had been run"
                found.accuse(job.id, "attempt repeated", run.started.at_ms, sentence)
            attempts |= {number} - {0}
        for run, following in pairwise(job.runs):
            done = run.finished is not None and run.finished.of is EventKind.COMPLETED
            wrong = _without_cause(job, run, following, history, limits)
            if wrong:
                sentence = f"{following.worker_id} ran it (attempt {following.started.attempt}), {wrong[1]}"
                lapsed = _lapsed(job, run, following, limits)
                found.accuse(job.id, wrong[0], following.started.at_ms, sentence, overdue=lapsed)
            elif done:
                repeated += 1
    return found.result(counts={"repeated": repeated})


def _lapsed(job: JobHistory, run: WorkerRun, following: WorkerRun, limits: Limits) -> Overdue | None:
    """Of two runs, the renewal that did not come: the first one's, or the second one's before it even began."""
    for one in (run, following):
        lease = job.lease_of(one)
        if lease and lease.until_ms is not None and lease.until_ms <= following.started.at_ms:
            lapsed = renewal(lease, limits)
            if lapsed:
                return lapsed
    return None


def _without_cause(
    job: JobHistory, run: WorkerRun, following: WorkerRun, history: History, limits: Limits
) -> tuple[str, str] | None:
    """How the second of two runs is wrong, where nothing explains it."""
    began_ms, again_ms = run.started.at_ms, following.started.at_ms
    if any(event.kind is EventKind.RETRIED and began_ms <= event.at_ms <= again_ms for event in job.log):
        return None
    if run.poisoned or not history.was_sound(
        run.worker_id, began_ms - limits.clock_slack_ms, again_ms, besides=REDIS_AWAY
    ):
        return None
    unsaved = run.finished is not None and _unsaved(history, run.finished.at_ms)
    if unsaved or _heard_too_late(job, following, history):
        return None
    if run.until_ms > again_ms + limits.clock_slack_ms:
        return "two at once", f"although {run.worker_id}, which was sound, was not through with it"
    if run.finished and run.finished.of is EventKind.COMPLETED:
        return "work repeated", f"although {run.worker_id}, which was sound, had done it"
    return None


def _heard_too_late(job: JobHistory, run: WorkerRun, history: History) -> bool:
    """Whether something kept the worker from its claim's answer until the lease was gone.

    A worker that was stopped, or whose line to Redis was, reads then that a job is its own, and begins; its first word
    to Redis ends that. Leases are held by Redis's clock, which no worker knows: runs are at least once.
    """
    lease, began_ms = job.lease_of(run), run.started.at_ms
    if lease is None or lease.until_ms is None or lease.until_ms > began_ms:
        return False
    return not history.was_sound(run.worker_id, lease.claim.at_ms, began_ms, besides=REDIS_AWAY)


def _unsaved(history: History, at_ms: float) -> bool:
    """Whether Redis was killed so soon afterwards that it may have forgotten it."""
    return any(event.kind in REDIS_AWAY and at_ms <= event.at_ms <= at_ms + UNSAVED_MS for event in history.faults)


def check_unclaimed_run(history: History, limits: Limits) -> CheckResult:
    """A worker runs what it has claimed, after the claim and while it may."""
    found = Findings("unclaimed_run")
    if not history.log or history.log_gaps:
        return found.result()
    for job in history.jobs.values():
        for run in job.runs:
            found.examined += 1
            lease, at_ms = job.lease_of(run), run.started.at_ms
            sound = history.was_sound(run.worker_id, at_ms - UNSAVED_MS, at_ms)
            if not sound or _unsaved(history, at_ms):
                continue
            if lease is None:
                sentence = f"{run.worker_id} ran it (attempt {run.started.attempt}) without a claim"
                found.accuse(job.id, "not claimed", at_ms, sentence)
            elif run.started.attempt and lease.claim.at_ms > at_ms + limits.clock_slack_ms:
                early_ms = lease.claim.at_ms - at_ms
                found.accuse(job.id, "before the claim", at_ms, f"{run.worker_id} ran it {early_ms:.0f} ms too early")
    return found.result()


def check_never_run(history: History, limits: Limits) -> CheckResult:
    """What is told as completed was run to its end before; what a sound worker has claimed, it begins."""
    found = Findings("never_run")
    for job in history.jobs.values():
        told = _told_completed(job)
        if told and job.leases and all(lease.worker_id in history.journaled for lease in job.leases):
            found.examined += 1
            done = [run.until_ms for run in job.runs if run.finished and run.finished.of is EventKind.COMPLETED]
            if not done:
                found.accuse(job.id, "completed unrun", told.at_ms, f"told as completed by {told.source}, but not run")
            elif min(done) > told.at_ms + limits.clock_slack_ms:
                early_ms = min(done) - told.at_ms
                said = f"told as completed by {told.source} {early_ms:.0f} ms before any run had come to its end"
                found.accuse(job.id, "completed early", told.at_ms, said)
        _not_begun(job, history, limits, found)
    return found.result()


def _told_completed(job: JobHistory) -> HistoryEvent | None:
    completed = EventKind.COMPLETED
    return next(
        (e for e in job.events if e.kind is completed or (e.kind, e.of) == (EventKind.DELIVERED, completed)), None
    )


def _not_begun(job: JobHistory, history: History, limits: Limits, found: Findings) -> None:
    """Leases of sound workers that ran out, were given back or are still held, without a run."""
    begun = {id(job.lease_of(run)) for run in job.runs}
    for lease in job.leases:
        if lease.worker_id not in history.journaled or id(lease) in begun:
            continue
        until_ms = lease.until_ms if lease.until_ms is not None else history.ended_ms
        given_up = lease.end is None or lease.end.kind not in ENDS
        long_ms = until_ms - lease.claim.at_ms
        from_ms = lease.claim.at_ms - limits.clock_slack_ms
        if given_up and long_ms > limits.cancel_within_ms and history.was_sound(lease.worker_id, from_ms, until_ms):
            said = f"{lease.worker_id}, which was sound, held it for {long_ms:.0f} ms and never began it"
            begun_by = Overdue(lease.claim.at_ms, until_ms, limits.cancel_within_ms)
            found.accuse(job.id, "never begun", lease.claim.at_ms, said, overdue=begun_by)


def check_runs_on(history: History, limits: Limits) -> CheckResult:
    """A worker stops soon when its job has ended without it, or is somebody else's: cancelled, expired, given back."""
    found = Findings("runs_on")
    for job in history.jobs.values():
        for run in job.runs:
            end = _ended_meanwhile(job.lease_of(run), run)
            if end is None:
                continue
            due_ms = end.at_ms + limits.cancel_within_ms
            if history.ended_ms < due_ms or not history.was_sound(run.worker_id, run.started.at_ms, due_ms):
                continue
            found.examined += 1
            if run.until_ms > due_ms:
                late = f"{run.until_ms - end.at_ms:.0f} ms after" if run.finished else "and on, after"
                stopped = Overdue(end.at_ms, min(run.until_ms, history.ended_ms), limits.cancel_within_ms)
                said = f"{run.worker_id} ran it {late} it was {end.kind}"
                found.accuse(job.id, "ran on", end.at_ms, said, overdue=stopped)
    return found.result()


def _ended_meanwhile(lease: LeaseInterval | None, run: WorkerRun) -> HistoryEvent | None:
    """What ended the lease while the run lasted."""
    end = lease.end if lease else None
    return end if end and end.kind in ATTEMPT_ENDS and end.at_ms < run.until_ms and not run.poisoned else None


def check_wrong_worker(history: History, _limits: Limits) -> CheckResult:
    """A worker runs only jobs of the services that it was started for, and no more at once than it has places."""
    found = Findings("wrong_worker")
    serving = {(e.worker_id, e.pid): e for e in history.events if e.kind is EventKind.SERVING}
    for event in history.events:
        worker = serving.get((event.worker_id, event.pid))
        if event.kind is not EventKind.STARTED or worker is None:
            continue
        found.examined += 1
        services = worker.services or ()
        if "*" not in services and event.service not in services:
            said = f"{event.worker_id} ran a job of {event.service or 'no service'}; it serves {', '.join(services)}"
            found.accuse(event.job_id, "not served", event.at_ms, said)
        if worker.places and event.in_use > worker.places:
            said = f"{event.worker_id} ran {event.in_use} jobs at once and has places for {worker.places}"
            found.accuse(event.job_id, "too many at once", event.at_ms, said)
    return found.result()


def check_result_swapped(history: History, _limits: Limits) -> CheckResult:
    """The result that is told of a job is the one that a run of it came to."""
    found = Findings("result_swapped")
    for job in history.jobs.values():
        own = {run.finished.result for run in job.runs if run.finished and run.finished.result}
        for event in job.events:
            told = EventKind.COMPLETED in (event.kind, event.of) and event.result and not event.pid
            if not told or not own:
                continue
            found.examined += 1
            if event.result not in own:
                to = f" to {event.by}" if event.kind is EventKind.DELIVERED else ""
                found.accuse(job.id, "another result", event.at_ms, f"told{to} with a result that no run of it had")
    return found.result()
