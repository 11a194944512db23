"""A paused service is claimed by nobody, a drained worker claims nothing; what waits for whom, and since when."""

from __future__ import annotations

import asyncio

import pytest

from harness.testing.waiting import until
from new_stack.queue import Claimant, Completed, NewJob, Queue, WorkerReport
from tests.new_stack.queue.conftest import Redis


def report(name: str, *services: str) -> WorkerReport:
    return WorkerReport(worker_id=name, services=services)


@pytest.mark.parametrize("services", [("*",), ("draw", "cut")])
async def test_jobs_of_a_paused_service_wait_and_all_others_run(queue: Queue, services: tuple[str, ...]) -> None:
    await queue.submit_many(
        [NewJob(id=f"{name}{n}", service_required=name) for n in range(2) for name in ("draw", "cut")]
    )
    since = await queue.pause_service("draw")
    assert since == await queue.pause_service("draw")
    worker = Claimant(worker_id="w1", services=services)
    assert [lease.job_id for lease in await queue.claim(worker, 9)] == ["cut0", "cut1"]
    assert (await queue.counts()).paused == {"draw": since}
    job = await queue.job("draw0")
    assert job is not None
    assert job.paused_since == since
    assert await queue.resume_service("draw") is None
    assert [lease.job_id for lease in await queue.claim(worker, 9)] == ["draw0", "draw1"]


async def test_a_job_that_runs_goes_on_in_a_paused_service_and_its_submissions_are_taken(queue: Queue) -> None:
    await queue.submit(NewJob(service_required="draw"))
    [lease] = await queue.claim("w1")
    await queue.pause_service("draw")
    await queue.end(Completed(lease=lease))
    await queue.submit(NewJob(service_required="draw"))
    counts = await queue.counts()
    assert (counts.completed, counts.pending) == (1, 1)


async def test_a_resumed_service_wakes_those_who_wait(queue: Queue, connect) -> None:
    worker = await connect()
    await queue.heartbeat(report("w1"))
    await queue.pause_service("draw")
    waiting = asyncio.create_task(worker.wait_and_claim("w1", 1, timeout_ms=5_000))
    await until(lambda: worker._idle)
    waiting.cancel()
    waiting = asyncio.create_task(worker.wait_and_claim("w1", 1, timeout_ms=5_000))
    await queue.submit(NewJob(id="a", service_required="draw"))
    await queue.resume_service("draw")
    async with asyncio.timeout(4):
        leases, _ = await waiting
    assert [lease.job_id for lease in leases] == ["a"]


async def test_a_drained_worker_claims_nothing_and_others_get_what_it_was_woken_for(queue: Queue, redis: Redis) -> None:
    for name in ("w1", "w2"):
        await queue.heartbeat(report(name))
        await redis.claim(name, 1, idle_ms=60_000)
    await queue.submit(NewJob(id="a"))
    [woken] = [name for name in ("w1", "w2") if await redis.command("LLEN", f"wake:{name}")]
    other = {"w1": "w2", "w2": "w1"}[woken]
    since = await queue.drain_worker(woken)
    assert await redis.command("LLEN", f"wake:{other}") == 1
    assert await queue.claim(woken) == []
    await redis.claim(woken, 1, idle_ms=60_000)
    assert await redis.command("ZSCORE", "idle:*", woken) is None
    draining = {worker.report.worker_id: worker.draining_since for worker in await queue.workers()}
    assert draining == {woken: since, other: None}
    [lease] = await queue.claim(other)
    assert lease.job_id == "a"


async def test_a_resumed_worker_is_woken_and_claims_again(queue: Queue, redis: Redis) -> None:
    await queue.heartbeat(report("w1"))
    await queue.drain_worker("w1")
    await queue.submit(NewJob(id="a"))
    assert await queue.claim("w1") == []
    assert await queue.resume_worker("w1") is None
    assert await redis.command("LLEN", "wake:w1") == 1
    assert [lease.job_id for lease in await queue.claim("w1")] == ["a"]


async def test_a_worker_that_comes_back_under_its_name_is_not_drained_any_more(queue: Queue) -> None:
    await queue.heartbeat(report("w1"))
    await queue.drain_worker("w1")
    await queue.unregister("w1")
    await queue.heartbeat(report("w1"))
    assert [worker.draining_since for worker in await queue.workers()] == [None]
    with pytest.raises(KeyError):
        await queue.drain_worker("nobody")


async def test_jobs_that_only_drained_workers_serve_are_unserved(queue: Queue) -> None:
    await queue.heartbeat(report("w1", "draw"))
    await queue.submit(NewJob(id="a", service_required="draw"))
    await queue.reap()
    assert (await queue.counts()).unserved == {}
    await queue.drain_worker("w1")
    await queue.reap()
    assert list((await queue.counts()).unserved) == ["draw"]
    explanation = await queue.explain("a")
    assert explanation is not None
    assert [worker.rule for worker in explanation.unable] == ["worker.draining"]
    await queue.pause_service("draw")
    explanation = await queue.explain("a")
    assert explanation is not None
    assert [worker.reason for worker in explanation.unable] == ["the service 'draw' is paused"]


async def test_the_load_says_what_waits_for_whom_and_since_when(queue: Queue, redis: Redis) -> None:
    await queue.heartbeat(report("w1", "draw", "cut"))
    await queue.heartbeat(report("w2"))
    for number, priority in enumerate((5, 0, -3, 5, 2**50)):
        await queue.submit(NewJob(id=f"j{number}", service_required="draw", priority=priority))
        await redis.change(f"j{number}", created_at=1_000 * (9 - number))
    await queue.pause_service("fold")
    load = await queue.load()
    assert {one.service: (one.waiting, one.oldest_at, one.workers) for one in load.services} == {
        "draw": (5, 5_000, 2),
        "cut": (0, None, 2),
        "fold": (0, None, 1),
    }
    assert abs(load.at - await queue.time_ms()) < 60_000
    assert 0 < load.memory.used_bytes <= load.memory.peak_bytes


async def test_a_lease_whose_worker_is_silent_is_told_before_it_runs_out(queue: Queue, redis: Redis) -> None:
    await queue.submit_many([NewJob(id="fine", service_required="s"), NewJob(id="late", service_required="s")])
    await queue.claim("w1", 2)
    assert (await queue.load()).about_to_expire == []
    soon = await queue.time_ms() + 1_000
    await redis.command("ZADD", "leases", soon, "late")
    [lease] = (await queue.load()).about_to_expire
    assert (lease.job_id, lease.worker_id, lease.service, lease.expires_at) == ("late", "w1", "s", soon)
