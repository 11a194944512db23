"""A worker at work, in this process, against real Valkey."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import Claimant, NewJob, Queue, RetryPolicy
from new_stack.worker import JobContext, JobFailed
from tests.new_stack.worker.conftest import (
    Scripted,
    StartWorker,
    ended,
    in_state,
    kinds,
    simulate,
    stubborn,
    until_blocked,
)


async def test_a_job_is_claimed_reported_on_and_completed(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker()
    job_id = await simulate(queue, {"progress": 10, "message": "on it"}, {"result": {"images": 2}})
    job = await ended(queue, job_id)
    assert (job.state, job.worker_id, job.result) == ("completed", "w1", msgspec.Raw(b'{"images":2}'))
    history = await queue.history(job_id)
    assert [event.kind for event in history] == ["submitted", "claimed", "progress", "completed"]
    assert (history[2].progress, history[2].message) == (10, "on it")


async def test_a_job_without_a_script_makes_a_few_steps(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker()
    job_id = (await queue.submit(NewJob())).job_id
    assert (await ended(queue, job_id)).state == "completed"
    steps = [event.progress for event in await queue.history(job_id) if event.kind == "progress"]
    assert steps == [25, 50, 75, 100]


async def test_a_submission_wakes_the_worker_long_before_anybody_reaps(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker(poll_interval_ms=60_000)
    await until_blocked(queue)
    job_id = await simulate(queue)
    await ended(queue, job_id, within=1.0)


async def test_jobs_that_waited_before_the_worker_came_are_run_in_order(
    queue: Queue, start_worker: StartWorker
) -> None:
    late = await simulate(queue, priority=-1)
    first = await simulate(queue)
    second = await simulate(queue)
    urgent = await simulate(queue, priority=5)
    await start_worker(poll_interval_ms=60_000)
    jobs = [await ended(queue, job_id) for job_id in (urgent, first, second, late)]
    claims = [event.job_id for event in (await queue.events("0", block_ms=10))[0] if event.kind == "claimed"]
    assert claims == [job.id for job in jobs]


IDLE = f"idle:{Claimant(worker_id='any').row[1]}"


async def test_a_wake_up_that_went_to_a_dead_worker_is_made_good_by_the_next_reaping(
    queue: Queue, start_worker: StartWorker
) -> None:
    worker = await start_worker(poll_interval_ms=200)
    call, key = queue._caller.connection.call, queue._caller.key

    async def waits() -> bool:
        return await call("ZSCORE", key(IDLE), worker.settings.worker_id) is not None

    await until(waits)
    seconds, _ = await call("TIME")
    await call("ZADD", key(IDLE), (int(seconds) + 2) * 1000, "dead")  # its wait would end first: so it is woken first
    job_id = await simulate(queue)
    assert (await ended(queue, job_id, within=2.0)).state == "completed"
    assert await call("LLEN", key("wake:dead")) == 1


async def test_a_worker_that_redis_has_forgotten_to_wait_claims_when_its_wait_ends(
    queue: Queue, start_worker: StartWorker
) -> None:
    worker = await start_worker()

    async def waits() -> bool:
        return bool(await queue._caller.connection.call("ZREM", queue._caller.key(IDLE), worker.settings.worker_id))

    await until(waits)
    job_id = await simulate(queue)
    assert (await ended(queue, job_id)).state == "completed"


async def test_a_worker_never_holds_more_than_it_can_run(queue: Queue, start_worker: StartWorker) -> None:
    most = 0
    now = 0

    async def run(job: JobContext) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await queue.counts()  # work of some length: a round trip
        now -= 1

    job_ids = [await simulate(queue) for _ in range(100)]
    await start_worker(Scripted(run), max_concurrent_jobs=3, poll_interval_ms=5)
    job_ids += [await simulate(queue) for _ in range(100)]
    for job_id in job_ids:
        await ended(queue, job_id)
    held = peak = 0
    for event in (await queue.events("0", block_ms=10, count=5000))[0]:
        held += {"claimed": 1, "completed": -1}.get(event.kind.value, 0)
        peak = max(peak, held)
        assert event.kind in {"submitted", "claimed", "completed"}
    assert (most, peak) == (3, 3)


async def test_a_failed_attempt_is_retried_and_the_last_failure_is_final(
    queue: Queue, start_worker: StartWorker
) -> None:
    await start_worker(queue={"retry_backoff_ms": 5}, poll_interval_ms=50)
    twice = await simulate(queue, {"fail": "CUDA out of memory", "attempts": 2})
    always = await simulate(queue, {"fail": "no"}, max_retries=1)
    job = await ended(queue, twice)
    assert (job.state, job.failures, job.attempt) == ("completed", 2, 3)
    job = await ended(queue, always)
    assert (job.state, job.failures, job.error) == ("failed", 2, "no")


@pytest.mark.parametrize(
    ("error", "said", "kind"),
    [
        (RuntimeError("boom"), "RuntimeError: boom", "RuntimeError"),
        (SystemExit(3), "SystemExit: 3", "SystemExit"),
        (JobFailed("bad input", retryable=False), "bad input", "new_stack.failure.JobFailed"),
        (asyncio.CancelledError(), "the connector gave up without saying why", None),
    ],
    ids=["exception", "exit", "failure", "cancels itself"],
)
async def test_whatever_a_connector_raises_ends_its_job_and_not_the_worker(
    error: BaseException, said: str, kind: str | None, queue: Queue, start_worker: StartWorker
) -> None:
    async def run(job: JobContext) -> None:
        if job.payload.get("bad"):
            raise error

    await start_worker(Scripted(run))
    bad = await queue.submit(NewJob(payload=msgspec.Raw(b'{"bad":true}'), max_retries=0))
    good = await queue.submit(NewJob())
    job = await ended(queue, bad.job_id)
    assert (job.state, job.error, job.error_type) == ("failed", said, kind)
    assert ("raise error" in (job.traceback or "")) == isinstance(error, RuntimeError | SystemExit)
    assert (await ended(queue, good.job_id)).state == "completed"


async def test_a_connectors_log_is_told_at_once_in_order_and_kept(queue: Queue, start_worker: StartWorker) -> None:
    async def run(job: JobContext) -> None:
        job.log("warming up")
        await job.progress(50)
        job.log("it is hot", "warning")

    await start_worker(Scripted(run))
    job_id = (await queue.submit(NewJob())).job_id
    job = await ended(queue, job_id)
    assert [(line.level, line.message) for line in job.logs] == [("info", "warming up"), ("warning", "it is hot")]
    assert (await kinds(queue, job_id))[2:] == ["log", "progress", "log", "completed"]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"success": False, "error": "no model"}, "no model"),
        ({"success": False}, "the connector reported a failure without an error"),
        ({"status": "failed", "message": "gone"}, "gone"),
        ({"status": "error", "error": {"code": 3}}, '{"code":3}'),
        (object(), "the connector's result is not JSON: Encoding objects of type object is unsupported"),
    ],
)
async def test_a_failure_dressed_as_a_result_is_a_failure(
    result: Any, said: str, queue: Queue, start_worker: StartWorker
) -> None:
    async def run(job: JobContext) -> Any:
        return result

    await start_worker(Scripted(run))
    job = await ended(queue, (await queue.submit(NewJob(max_retries=0))).job_id)
    assert (job.state, job.error) == ("failed", said)


async def test_a_result_with_a_status_of_its_own_kind_is_a_result(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker()
    job = await ended(queue, await simulate(queue, {"result": {"status": {"completed": True}, "success": None}}))
    assert job.state == "completed"


async def test_a_result_over_the_limit_fails_the_job_for_good(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker(queue={"result_limit": 1000})
    job = await ended(queue, await simulate(queue, {"result": {"x": "y" * 2000}}))
    assert job.state == "failed"
    assert job.error is not None
    assert "1000" in job.error


async def test_a_job_that_takes_too_long_is_stopped_and_failed(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker(job_timeout_minutes=0.1 / 60)
    job = await ended(queue, await simulate(queue, {"progress": 7}, {"hang": True}, max_retries=0))
    assert (job.state, job.error, job.progress) == ("failed", "timed out after 0.1 s", 7)


async def test_a_jobs_own_limit_stops_it_sooner(queue: Queue, start_worker: StartWorker) -> None:
    await start_worker()
    policy = RetryPolicy(timeout_ms=100, attempts=1)
    job = await ended(queue, await simulate(queue, {"hang": True}, retry_policy=policy))
    assert (job.state, job.error, job.error_type) == ("failed", "timed out after 0.1 s", "TimeoutError")


async def test_cancelling_a_running_job_stops_its_connector_at_once(queue: Queue, start_worker: StartWorker) -> None:
    stopped = asyncio.Event()

    async def run(job: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    worker = await start_worker(Scripted(run))
    job_id = await simulate(queue)
    await in_state(queue, job_id, "claimed")
    await queue.cancel(job_id, "changed my mind")
    async with asyncio.timeout(1):
        await stopped.wait()
    assert (await ended(queue, job_id)).state == "cancelled"
    following = await simulate(queue)
    await in_state(queue, following, "claimed")
    assert [line["reason"] for line in worker.logged("job_stopped")] == ["cancelled"]


async def test_a_lost_signal_is_made_good_by_the_refused_progress(queue: Queue, start_worker: StartWorker) -> None:
    go_on = asyncio.Event()
    stopped = asyncio.Event()

    async def run(job: JobContext) -> None:
        await go_on.wait()
        try:
            await job.progress(50)
            await asyncio.Event().wait()
        finally:
            stopped.set()

    thief = asyncio.create_task(queue.wait_for_signal("w1", timeout_ms=5000))
    await until_blocked(queue)
    await start_worker(Scripted(run))
    job_id = await simulate(queue)
    await in_state(queue, job_id, "claimed")
    await queue.cancel(job_id)
    assert await thief
    assert not stopped.is_set()
    go_on.set()
    async with asyncio.timeout(1):
        await stopped.wait()
    assert await kinds(queue, job_id) == ["submitted", "claimed", "cancelled"]


async def test_a_connector_that_ignores_its_stop_is_left_behind(queue: Queue, start_worker: StartWorker) -> None:
    release = asyncio.Event()
    worker = await start_worker(stubborn(release), stop_grace_ms=50)
    stays = await simulate(queue)
    await in_state(queue, stays, "claimed")
    await queue.cancel(stays)
    following = await simulate(queue)
    await in_state(queue, following, "claimed", within=2)
    assert worker.logged("connector_ignores_stop")
    release.set()
    assert (await ended(queue, following)).state == "completed"


async def test_the_last_reported_progress_comes_before_the_end(queue: Queue, start_worker: StartWorker) -> None:
    async def run(job: JobContext) -> None:
        for percent in range(100):
            job.report(percent, f"step {percent}")
        await job.progress(99.5)
        job.report(100, "done")

    await start_worker(Scripted(run))
    job_id = await simulate(queue)
    await ended(queue, job_id)
    history = await queue.history(job_id)
    assert [event.kind for event in history][-2:] == ["progress", "completed"]
    assert history[-2].progress == 100
    steps = [event.progress for event in history if event.kind == "progress"]
    assert steps == sorted(steps)
    assert 99.5 in steps
    assert len(steps) < 10


async def test_progress_that_is_no_percentage_fails_the_job_with_a_sentence(
    queue: Queue, start_worker: StartWorker
) -> None:
    async def run(job: JobContext) -> None:
        job.report(1000)

    await start_worker(Scripted(run))
    job = await ended(queue, (await queue.submit(NewJob(max_retries=0))).job_id)
    assert job.error == "ValueError: progress must be from -1 to 100, not 1000"


async def test_a_long_job_keeps_its_lease(queue: Queue, start_worker: StartWorker) -> None:
    quick = {"lease_ms": 300, "heartbeat_ttl_ms": 300}
    await start_worker(queue=quick, heartbeat_interval_ms=100)
    await start_worker(queue=quick, heartbeat_interval_ms=100, poll_interval_ms=20)
    job_id = await simulate(queue, {"sleep_ms": 1000})
    job = await ended(queue, job_id)
    assert (job.state, job.attempt) == ("completed", 1)


@pytest.mark.usefixtures("reaped_before")
async def test_a_job_that_another_claimed_after_its_lease_ran_out_is_dropped_by_who_had_it(
    queue: Queue, start_worker: StartWorker
) -> None:
    worker = await start_worker(queue={"lease_ms": 100, "heartbeat_ttl_ms": 100_000}, heartbeat_interval_ms=50)
    job_id = await simulate(queue, {"hang": True})
    await in_state(queue, job_id, "claimed")

    async def taken_over() -> bool:
        await queue._caller.connection.call("ZADD", f"{queue.settings.prefix}leases", "XX", 0, job_id)
        await queue.reap()
        return bool(await queue.claim("heir"))

    await until(taken_over)
    await until(lambda: worker.logged("job_stopped"))
    assert worker.logged("job_stopped")[0]["reason"] == "lease_lost"


async def test_a_retry_goes_to_another_worker_while_one_is_alive(queue: Queue, start_worker: StartWorker) -> None:
    for _ in range(2):
        await start_worker(queue={"retry_backoff_ms": 5})
    job_id = await simulate(queue, {"fail": "once", "attempts": 1})
    job = await ended(queue, job_id)
    by = [event.worker_id for event in await queue.history(job_id) if event.kind in {"attempt_failed", "completed"}]
    assert job.state == "completed"
    assert len(set(by)) == 2


async def test_services_go_to_the_connectors_that_serve_them(queue: Queue, start_worker: StartWorker) -> None:
    worker = await start_worker()
    [info] = await queue.workers()
    assert (info.report.worker_id, info.report.connectors, info.alive) == (worker.settings.worker_id, ("test",), True)
    assert info.report.services == ("test", "*")
