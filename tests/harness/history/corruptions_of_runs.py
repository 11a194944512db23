"""Ways to spoil what workers really ran, as their journals say it; see `corruptions`."""

from __future__ import annotations

from random import Random

from harness.history import History, HistoryEvent, JobHistory, Source
from harness.history.history import WorkerRun
from harness.protocols import EventKind, JobState
from tests.harness.history.corruptions import (
    change,
    corruption,
    frozen_at,
    leases,
    pick,
    put,
    without,
)


def runs(history: History, random: Random, *, of: EventKind | None = None) -> list[tuple[JobHistory, WorkerRun]]:
    found = [
        (job, run)
        for job in history.jobs.values()
        for run in job.runs
        if run.finished and (of is None or run.finished.of is of)
    ]
    random.shuffle(found)
    return found


def sound_during(history: History, run: WorkerRun, until_ms: float) -> bool:
    return history.was_sound(run.worker_id, run.started.at_ms - 100, until_ms)


def another_run(history: History, run: WorkerRun, at_ms: float, **changes: object) -> list[HistoryEvent]:
    again = {"at_ms": at_ms, "worker_id": "w-other", "by": "w-other", "pid": 1, **changes}
    return [*history.events, change(run.started, **again)]


@corruption("run_twice", "work repeated")
def finished_work_is_done_again(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random, of=EventKind.COMPLETED):
        if sound_during(history, run, run.until_ms + 300):
            return another_run(history, run, run.until_ms + 300, attempt=run.started.attempt + 1), job.id
    return None


@corruption("run_twice", "two at once")
def two_workers_run_one_job(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random):
        middle_ms = (run.started.at_ms + run.until_ms) / 2
        if run.until_ms - run.started.at_ms > 60 and sound_during(history, run, middle_ms):
            return another_run(history, run, middle_ms, attempt=run.started.attempt + 1), job.id
    return None


@corruption("run_twice", "attempt repeated")
def an_attempt_is_handed_out_twice(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random):
        return another_run(history, run, run.until_ms + 5), job.id
    return None


@corruption("unclaimed_run", "not claimed")
def a_worker_runs_what_it_has_not_claimed(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random):
        return another_run(history, run, run.until_ms + 5, attempt=99), job.id
    return None


@corruption("unclaimed_run", "before the claim")
def a_worker_begins_before_it_has_claimed(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random):
        at_ms = run.started.at_ms - 200
        if history.was_sound(run.worker_id, at_ms - 2_000, at_ms):
            return put(history, run.started, change(run.started, at_ms=at_ms)), job.id
    return None


def journal_lines(job: JobHistory) -> list[HistoryEvent]:
    return [event for event in job.events if event.source is Source.WORKER]


@corruption("never_run", "completed unrun")
def a_job_is_completed_that_nobody_ran(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, _ in runs(history, random, of=EventKind.COMPLETED):
        return without(history, *journal_lines(job)), job.id
    return None


@corruption("never_run", "completed early")
def the_end_is_told_before_the_work_is_done(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random, of=EventKind.COMPLETED):
        assert run.finished
        return put(history, run.finished, change(run.finished, at_ms=run.until_ms + 5_000)), job.id
    return None


@corruption("never_run", "never begun")
def a_worker_claims_and_drops(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, lease in leases(history, random, EventKind.COMPLETED):
        if history.was_sound(lease.worker_id, lease.claim.at_ms - 100, history.ended_ms + 5_000):
            kept = [e for e in history.events if e not in journal_lines(job)]
            return frozen_at(History(kept), job, lease.claim.at_ms, JobState.CLAIMED, 5_000), job.id
    return None


@corruption("runs_on", "ran on")
def a_worker_goes_on_with_a_cancelled_job(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random, of=EventKind.RELEASED):
        lease = job.lease_of(run)
        end = lease.end if lease else None
        if end and end.kind is EventKind.CANCELLED and sound_during(history, run, end.at_ms + 400):
            assert run.finished
            return put(history, run.finished, change(run.finished, at_ms=end.at_ms + 400)), job.id
    return None


@corruption("wrong_worker", "not served")
def a_worker_runs_what_it_does_not_serve(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random):
        return put(history, run.started, change(run.started, service="transcribe")), job.id
    return None


@corruption("wrong_worker", "too many at once")
def a_worker_takes_more_than_it_has_places_for(history: History, random: Random):  # type: ignore[no-untyped-def]
    for job, run in runs(history, random):
        return put(history, run.started, change(run.started, in_use=2)), job.id
    return None


@corruption("result_swapped", "another result")
def a_client_is_told_another_jobs_result(history: History, random: Random):  # type: ignore[no-untyped-def]
    told = pick(random, [e for e in history.events if e.kind is EventKind.DELIVERED and e.result])
    return (put(history, told, change(told, result="another")), told.job_id) if told else None
