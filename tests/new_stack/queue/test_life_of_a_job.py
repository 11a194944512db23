"""A job's whole life through `Queue`, against real Valkey."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import (
    Completed,
    EventKind,
    Failed,
    InvalidTransition,
    JobConflict,
    JobNotFound,
    JobState,
    LeaseLost,
    LeaseState,
    NewJob,
    ProgressUpdate,
    Queue,
    Released,
    Signal,
    WorkerReport,
)

PAYLOAD = msgspec.Raw(b'{"prompt": "a cat"}')


def kinds(events: list) -> list[str]:
    return [event.kind for event in events]


async def test_a_job_is_submitted_claimed_reported_on_and_completed(queue: Queue) -> None:
    said = await queue.submit(NewJob(payload=PAYLOAD, service_required="comfyui", client_id="c1"))
    assert said.created
    assert said.position == 1
    [lease] = await queue.claim("w1")
    assert (lease.job_id, lease.attempt, lease.payload) == (said.job_id, 1, PAYLOAD)
    await queue.progress(lease, ProgressUpdate(progress=50, message="half", details={"step": 1}))
    running = await queue.job(said.job_id)
    assert running is not None
    assert (running.state, running.progress, running.worker_id) == (JobState.CLAIMED, 50.0, "w1")
    assert await queue.end(Completed(lease=lease, result=msgspec.Raw(b'{"ok":true}'))) is JobState.COMPLETED
    done = await queue.job(said.job_id)
    assert done is not None
    assert done.result == msgspec.Raw(b'{"ok":true}')
    history = await queue.history(said.job_id)
    assert kinds(history) == ["submitted", "claimed", "progress", "completed"]
    assert history[2].details == {"step": 1}
    assert history[3].result == msgspec.Raw(b'{"ok":true}')
    assert (await queue.events("0", block_ms=10))[0] == history


async def test_submitting_again_is_the_same_job_or_a_conflict(queue: Queue) -> None:
    first = await queue.submit(NewJob(payload=PAYLOAD, id="a"))
    again = await queue.submit(NewJob(payload=msgspec.Raw(b'{ "prompt":"a cat"}'), id="a"))
    assert (first.created, again.created, again.job_id) == (True, False, "a")
    with pytest.raises(JobConflict):
        await queue.submit(NewJob(payload=msgspec.Raw(b'{"prompt": "a dog"}'), id="a"))
    assert (await queue.counts()).pending == 1


async def test_order_is_priority_then_first_in_first_out(queue: Queue) -> None:
    priorities = [0, 5, 0, -3, 5, 4096, -4096, 0, 2**53, 2**53, -(2**53), 2**53]
    ids = [f"j{i}" for i in range(len(priorities))]
    await queue.submit_many([NewJob(id=i, priority=p) for i, p in zip(ids, priorities, strict=True)])
    leases = await queue.claim("w1", count=20)
    order = ["j8", "j9", "j11", "j5", "j1", "j4", "j0", "j2", "j7", "j3", "j6", "j10"]
    assert [lease.job_id for lease in leases] == order


async def test_a_submission_wakes_a_waiting_worker(queue: Queue) -> None:
    await queue.heartbeat(WorkerReport(worker_id="w1"))
    assert await queue.wait_and_claim("w1", 1, timeout_ms=5000) == ([], None)  # from here on it counts as idle
    waiting = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=5000))
    await queue.submit_many([NewJob(id="a"), NewJob(id="b")])
    leases, signal = await waiting
    assert [lease.job_id for lease in leases] == ["a"]
    assert signal is None


async def test_cancelling_a_running_job_tells_its_worker_and_refuses_its_end(queue: Queue) -> None:
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    assert (await queue.cancel("a", "enough")).cancel_reason == "enough"
    assert await queue.wait_for_signal("w1", timeout_ms=1000) == Signal(job_id="a", attempt=1)
    with pytest.raises(LeaseLost) as lost:
        await queue.end(Completed(lease=lease))
    assert lost.value.cancelled
    assert await queue.renew([lease]) == [LeaseState.CANCELLED]
    assert kinds(await queue.history("a")) == ["submitted", "claimed", "cancelled"]
    assert (await queue.cancel("a")).cancel_reason == "enough"
    assert (await queue.retry("a")).state is JobState.PENDING
    with pytest.raises(JobNotFound):
        await queue.cancel("nobody")


async def test_a_failed_job_waits_and_goes_to_another_worker(queue: Queue, connect) -> None:
    hasty = await connect(retry_backoff_ms=0)
    for worker in ("w1", "w2"):
        await hasty.heartbeat(WorkerReport(worker_id=worker))
    await hasty.submit(NewJob(id="a", max_retries=1))
    [lease] = await hasty.claim("w1")
    assert await hasty.wait_and_claim("w2", 1, timeout_ms=5000) == ([], None)  # from here on it counts as idle
    assert await hasty.end(Failed(lease=lease, error="out of memory")) is JobState.PENDING
    assert (await hasty.job("a")).error == "out of memory"
    assert await hasty.claim("w1") == []
    [again] = await hasty.claim("w2")
    assert await hasty.end(Failed(lease=again, error="again")) is JobState.FAILED
    assert kinds(await queue.history("a")) == ["submitted", "claimed", "attempt_failed", "claimed", "failed"]
    with pytest.raises(InvalidTransition):
        await queue.cancel("a")
    retried = await queue.retry("a")
    assert (retried.state, retried.failures, retried.error) == (JobState.PENDING, 0, None)


async def test_a_lease_that_runs_out_puts_the_job_back_in_its_old_place(connect) -> None:
    queue = await connect(lease_ms=50)
    await queue.submit_many([NewJob(id="a"), NewJob(id="b")])
    [lease] = await queue.claim("w1")
    while not (reaped := await queue.reap()):
        await asyncio.sleep(0.01)
    assert reaped == ["a"]
    assert [held.job_id for held in await queue.claim("w2", count=2)] == ["a", "b"]
    with pytest.raises(LeaseLost):
        await queue.progress(lease, ProgressUpdate(progress=10))
    assert EventKind.LEASE_EXPIRED in kinds(await queue.history("a"))


@pytest.mark.parametrize("by", ["renewal", "progress"])
async def test_a_lease_that_ran_out_is_regained_while_nobody_else_has_claimed_the_job(connect, by: str) -> None:
    queue = await connect(lease_ms=50)
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    while not await queue.reap():
        await asyncio.sleep(0.01)
    patient = await connect(lease_ms=60_000)
    if by == "renewal":
        assert await patient.renew([lease]) == [LeaseState.HELD]
    else:
        await patient.progress(lease, ProgressUpdate(progress=10))
    assert await patient.claim("w2") == []
    job = await patient.job("a")
    assert job is not None
    assert (job.state, job.worker_id, job.attempt) == (JobState.CLAIMED, "w1", 1)
    assert await patient.end(Completed(lease=lease)) is JobState.COMPLETED
    assert [kind for kind in kinds(await queue.history("a")) if kind != "progress"] == [
        "submitted", "claimed", "lease_expired", "claimed", "completed",
    ]  # fmt: skip


async def test_a_lease_that_ran_out_is_not_regained_from_another_worker(connect) -> None:
    queue = await connect(lease_ms=50)
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    while not await queue.reap():
        await asyncio.sleep(0.01)
    await queue.claim("w2")
    assert await queue.renew([lease]) == [LeaseState.LOST]


async def test_a_released_job_counts_nothing(queue: Queue) -> None:
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    assert await queue.end(Released(lease=lease)) is JobState.PENDING
    job = await queue.job("a")
    assert job is not None
    assert (job.failures, job.worker_id, job.position) == (0, None, 1)


async def test_jobs_end_and_others_are_claimed_in_one_call(queue: Queue) -> None:
    await queue.submit_many([NewJob(id=f"j{i}") for i in range(6)])
    held = await queue.claim("w1", count=3)
    states, leases = await queue.end_and_claim("w1", [Completed(lease=lease) for lease in held], 2)
    assert states == [JobState.COMPLETED] * 3
    assert [lease.job_id for lease in leases] == ["j3", "j4"]


async def test_workers_come_and_go(connect) -> None:
    queue = await connect(heartbeat_ttl_ms=50, forget_worker_ms=100)
    await queue.heartbeat(WorkerReport(worker_id="w1", connectors=("simulation",)))
    [worker] = await queue.workers()
    assert worker.alive
    assert worker.report.connectors == ("simulation",)
    async with asyncio.timeout(5):
        while (await queue.workers())[0].alive:
            await asyncio.sleep(0.01)
        while await queue.workers():
            await queue.reap()
            await asyncio.sleep(0.01)
    await queue.heartbeat(WorkerReport(worker_id="w2"))
    await queue.unregister("w2")
    assert await queue.workers() == []


async def test_listing_filters_before_it_cuts(queue: Queue) -> None:
    await queue.submit_many([NewJob(id=f"a{i}", service_required="a") for i in range(5)])
    await queue.submit_many([NewJob(id=f"b{i}", service_required="b") for i in range(150)])
    page = await queue.jobs(service="a", limit=2)
    assert [job.id for job in page.jobs] == ["a4", "a3"]
    rest = await queue.jobs(service="a", limit=50, cursor=page.cursor)
    assert [job.id for job in rest.jobs] == ["a2", "a1", "a0"]
    assert rest.cursor is None
    assert (await queue.counts()).by_service == {"a": 5, "b": 150}


async def test_a_failure_says_its_type_and_traceback_until_the_job_succeeds(queue: Queue) -> None:
    job_id = (await queue.submit(NewJob(payload=PAYLOAD, max_retries=1))).job_id
    [lease] = await queue.claim("w1")
    await queue.end(Failed(lease=lease, error="no memory", error_type="MemoryError", traceback="x" * 10_000 + "end"))
    failed = await queue.job(job_id)
    assert failed is not None
    assert failed.error_type == "MemoryError"
    assert failed.traceback is not None
    assert len(failed.traceback) == 8_192
    assert failed.traceback.endswith("end")
    event = (await queue.history(job_id))[-1]
    assert (event.kind, event.error_type, event.traceback) == ("attempt_failed", "MemoryError", failed.traceback)
    [lease] = await until(lambda: queue.claim("w1"))
    await queue.end(Completed(lease=lease))
    done = await queue.job(job_id)
    assert done is not None
    assert (done.error, done.error_type, done.traceback) == (None, None, None)


async def test_a_job_keeps_the_last_lines_of_its_log_and_its_stream_all(queue: Queue) -> None:
    job_id = (await queue.submit(NewJob(payload=PAYLOAD))).job_id
    [lease] = await queue.claim("w1")
    for number in range(25):
        await queue.progress(lease, ProgressUpdate(kind=EventKind.LOG, status="info", message=f"line {number}"))
    await queue.progress(lease, ProgressUpdate(kind=EventKind.LOG, status="info", message="x" * 5_000))
    job = await queue.job(job_id)
    assert job is not None
    assert [line.message for line in job.logs[:-1]] == [f"line {number}" for number in range(6, 25)]
    assert len(job.logs[-1].message) == 4_096
    assert kinds(await queue.history(job_id)).count("log") == 26
    await queue.cancel(job_id)
    with pytest.raises(LeaseLost):
        await queue.progress(lease, ProgressUpdate(kind=EventKind.LOG, message="too late"))


async def test_a_state_that_is_shown_again_changes_no_job(queue: Queue) -> None:
    job_id = (await queue.submit(NewJob(payload=PAYLOAD))).job_id
    before = await queue.job(job_id)
    await queue.show(job_id)
    assert await queue.job(job_id) == before
    assert kinds(await queue.history(job_id)) == ["submitted"]
    shown = (await queue.events("0", block_ms=10))[0][-1]
    assert (shown.kind, shown.status, shown.job_id) == (EventKind.STATE, "pending", job_id)
    with pytest.raises(JobNotFound):
        await queue.show("nosuch")
