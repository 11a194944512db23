"""What a call did whose answer got lost is found out, and made good."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from harness.testing.waiting import until
from new_stack.queue import NewJob, Queue
from tests.new_stack.worker.conftest import (
    Line,
    StartWorker,
    at_work,
    ended,
    in_state,
    simulate,
    until_blocked,
)


async def test_jobs_claimed_by_a_call_whose_answer_got_lost_do_not_wait_for_their_leases(
    queue: Queue, start_worker: StartWorker, line: Line
) -> None:
    worker = await start_worker(queue={"redis_url": await line.open(), "lease_ms": 60_000})
    await until_blocked(queue)
    line.deaf = True
    job_id = await simulate(queue, {"result": "done"})
    claimed = await in_state(queue, job_id, "claimed", within=2)
    assert (claimed.worker_id, claimed.attempt) == ("w1", 1)
    line.deaf = False
    line.cut()
    job = await ended(queue, job_id, within=5)
    assert (job.state, job.attempt, job.failures) == ("completed", 2, 0)
    kinds = [event.kind for event in await queue.history(job_id)]
    assert kinds == ["submitted", "claimed", "released", "claimed", "completed"]
    assert [log["job_id"] for log in worker.logged("orphaned_claim_released")] == [job_id]


async def test_an_end_whose_answer_got_lost_counts_once_and_the_next_claim_is_found(
    queue: Queue, start_worker: StartWorker, line: Line
) -> None:
    await start_worker(queue={"redis_url": await line.open(), "lease_ms": 60_000})
    first = await simulate(queue, {"sleep_ms": 300}, {"result": 1})
    await in_state(queue, first, "claimed")
    second = (await queue.submit(NewJob(payload=msgspec.Raw(b'{"simulate": [{"result": 2}]}')))).job_id
    line.deaf = True
    await in_state(queue, first, "completed", within=3)
    await in_state(queue, second, "claimed", within=3)
    line.deaf = False
    line.cut()
    job = await ended(queue, second, within=5)
    assert (job.state, job.result) == ("completed", msgspec.Raw(b"2"))
    kinds = [event.kind for event in await queue.history(first)]
    assert kinds == ["submitted", "claimed", "completed"]


async def test_a_progress_whose_answer_got_lost_is_told_once(
    queue: Queue, start_worker: StartWorker, line: Line
) -> None:
    await start_worker(queue={"redis_url": await line.open(), "lease_ms": 60_000})
    job_id = await simulate(queue, {"progress": 10}, {"sleep_ms": 300}, {"progress": 50}, {"result": 1})
    await at_work(queue, job_id)
    line.deaf = True

    async def half_way() -> bool:
        job = await queue.job(job_id)
        return job is not None and job.progress == 50

    await until(half_way)
    line.deaf = False
    line.cut()
    assert (await ended(queue, job_id)).state == "completed"
    history = await queue.history(job_id)
    assert [event.progress for event in history if event.kind == "progress"] == [10, 50]


async def test_a_job_whose_claim_is_still_on_its_way_is_no_orphan(queue: Queue, start_worker: StartWorker) -> None:
    worker = await start_worker()
    wait_and_claim = worker.worker._context.queue.wait_and_claim
    seen = asyncio.Event()

    async def slow(*arguments: Any, **options: Any) -> Any:
        answer = await wait_and_claim(*arguments, **options)
        worker.worker._acknowledger.unsure()  # as after an outage: the listing comes before this claim's answer
        await until(lambda: worker.worker._acknowledger._orphans.suspected)
        seen.set()
        return answer

    worker.worker._context.queue.wait_and_claim = slow  # type: ignore[method-assign]
    await ended(queue, await simulate(queue))
    job_id = await simulate(queue, {"sleep_ms": 1200})
    await seen.wait()
    job = await ended(queue, job_id)
    assert (job.state, job.attempt) == ("completed", 1)
    assert not worker.logged("orphaned_claim_released")


async def test_a_worker_whose_line_breaks_often_runs_every_job_once(
    queue: Queue, start_worker: StartWorker, line: Line
) -> None:
    await start_worker(queue={"redis_url": await line.open()}, max_concurrent_jobs=4)
    job_ids = [await simulate(queue, {"progress": 50}, {"sleep_ms": 5}) for _ in range(200)]

    async def more_than(count: int) -> bool:
        return (await queue.counts()).completed > count

    for round_ in range(8):
        await until(lambda done=round_ * 20: more_than(done), within=20)
        lost, line.deaf = line.lost, round_ % 2 == 0
        if line.deaf:
            await until(lambda lost=lost: line.lost > lost)
        line.deaf = False
        line.cut()
    for job_id in job_ids:
        job = await ended(queue, job_id, within=20)
        assert (job.state, job.failures) == ("completed", 0)
        ends = [event for event in await queue.history(job_id) if event.kind == "completed"]
        assert len(ends) == 1
