"""What costs no worker its process and no job its work: a Redis that refuses, ends that wait, a blocked loop."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import Any

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import Queue, QueueSettings, QueueUnavailable
from new_stack.queue.function_caller import FunctionCaller
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.worker.conftest import (
    StartProcess,
    StartWorker,
    at_work,
    ended,
    in_state,
    simulate,
)

QUICK = {"HUBGATE_LEASE_MS": "1000", "HUBGATE_HEARTBEAT_TTL_MS": "1000", "WORKER_HEARTBEAT_INTERVAL_MS": "200"}


async def call(queue: Queue, *arguments: Any) -> Any:
    return await queue._caller.connection.call(*arguments)


async def demote(queue: Queue, prefix: str, how: str = "ERROR") -> None:
    """What a primary does that becomes a replica: every blocked client is sent away."""
    blocked = re.findall(r"id=(\d+) .*cmd=blpop", (await call(queue, "CLIENT", "LIST")).decode())
    for number in blocked:
        await call(queue, "CLIENT", "UNBLOCK", int(number), how)


async def fill_up(queue: Queue, prefix: str) -> None:
    """No further client is let in, and those that are there are sent away."""
    await call(queue, "CONFIG", "SET", "maxclients", 1)
    await call(queue, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def spoil(queue: Queue, prefix: str) -> None:
    """A refusal that trying again does not cure: the list that the worker waits on is no list."""
    await call(queue, "SET", f"{prefix}signals:w1", "no list")
    await demote(queue, prefix, "TIMEOUT")


@pytest.mark.parametrize("fault", [demote, fill_up, spoil])
async def test_no_worker_exits_whatever_redis_answers(
    fault: Any, own_valkey: ValkeyProcess, start_process: StartProcess, prefix: str
) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, prefix=prefix))
    worker = start_process("--id", "w1", redis_url=own_valkey.url)
    running = await simulate(queue, {"progress": 1}, {"sleep_ms": 1500}, {"result": "kept"})
    await at_work(queue, running)
    assert queue._caller.key("signals:w1") == f"{prefix}signals:w1"
    await fault(queue, prefix)
    if fault is not demote:
        line = await worker.until_logged("redis_away")
        assert ("WRONGTYPE" in line["error"]) == (fault is spoil)
    await call(queue, "CONFIG", "SET", "maxclients", 1000)
    await call(queue, "DEL", f"{prefix}signals:w1")
    job = await ended(queue, running)
    assert (job.state, job.attempt, job.result) == ("completed", 1, msgspec.Raw(b'"kept"'))
    following = await simulate(queue)
    assert (await ended(queue, following)).state == "completed"
    assert worker.process.poll() is None
    assert len(worker.logged("redis_away")) <= 2
    worker.signal(signal.SIGTERM)
    assert await worker.exit_status() == 0
    await queue.close()


async def test_the_lease_of_an_end_that_waits_for_redis_is_renewed(queue: Queue, start_worker: StartWorker) -> None:
    quick = {"lease_ms": 600, "heartbeat_ttl_ms": 600}
    worker = await start_worker(queue=quick, heartbeat_interval_ms=100)
    taken = asyncio.Event()
    own = worker.worker._context.queue
    end_and_claim = own.end_and_claim

    async def refused(worker: Any, ends: Any, *rest: Any, **more: Any) -> Any:
        if ends and not taken.is_set():
            raise QueueUnavailable("Redis refused for now: it cannot store anything")
        return await end_and_claim(worker, ends, *rest, **more)

    own.end_and_claim = refused  # type: ignore[method-assign]
    job_id = await simulate(queue, {"result": "kept"})
    await until(lambda: worker.worker._acknowledger.leases)
    await start_worker(queue=quick, heartbeat_interval_ms=100, poll_interval_ms=50, max_concurrent_jobs=2)
    for _ in range(10):  # a lease and a half of polls by the other worker
        await queue.reap()
        await other_job(queue)
    taken.set()
    job = await ended(queue, job_id)
    assert (job.state, job.attempt, job.worker_id) == ("completed", 1, "w1")


async def other_job(queue: Queue) -> None:
    await ended(queue, await simulate(queue, {"sleep_ms": 100}))


async def alive(queue: Queue, count: int) -> None:
    async def enough() -> bool:
        return len([worker for worker in await queue.workers() if worker.alive]) >= count

    await until(enough)


async def test_a_connector_that_blocks_the_loop_keeps_its_job_and_its_neighbours_and_is_named(
    queue: Queue, start_process: StartProcess
) -> None:
    blocked = start_process("--id", "blocked", "--concurrency", "3", **QUICK)
    neighbours = [await simulate(queue, {"progress": 1}, {"sleep_ms": 5000}) for _ in range(2)]
    for job_id in neighbours:
        await at_work(queue, job_id)
    blocker = await simulate(queue, {"progress": 1}, {"block_ms": 4000})
    start_process("--id", "heir", "--concurrency", "4", "--poll-ms", "100", **QUICK)
    for job_id in (blocker, *neighbours):
        job = await ended(queue, job_id, within=20)
        assert (job.state, job.attempt, job.worker_id) == ("completed", 1, "blocked")
    [line] = blocked.logged("loop_blocked")
    assert line["message"].startswith("connector simulation blocks the loop")
    assert any("simulation.py" in call for call in line["stack"])
    assert blocked.logged("loop_unblocked")[0]["blocked_s"] > 2


async def test_a_loop_that_is_blocked_past_the_jobs_time_out_holds_it_no_longer(
    queue: Queue, start_process: StartProcess
) -> None:
    start_process("--id", "stuck", WORKER_JOB_TIMEOUT_MINUTES=str(0.5 / 60), WORKER_STOP_GRACE_MS="200", **QUICK)
    job_id = await simulate(queue, {"progress": 1}, {"block_ms": 8000}, {"result": 1})
    await at_work(queue, job_id)
    start_process("--id", "heir", "--poll-ms", "100", **QUICK)
    job = await in_state(queue, job_id, "claimed")
    await until(lambda: taken_over(queue, job_id), within=7)
    assert job.worker_id == "stuck"


async def taken_over(queue: Queue, job_id: str) -> bool:
    job = await queue.job(job_id)
    return job is not None and (job.worker_id, job.attempt) == ("heir", 2)


async def test_in_threads_connectors_that_block_run_at_once_and_nothing_is_held_up(
    queue: Queue, start_process: StartProcess
) -> None:
    connector = "simulation:run_in=thread,services=*"
    worker = start_process("--id", "w1", "--concurrency", "4", "--connector", connector, **QUICK)
    job_ids = [await simulate(queue, {"progress": 1}, {"block_ms": 3000}) for _ in range(3)]
    for job_id in job_ids:
        await at_work(queue, job_id)
    quick = await simulate(queue, {"result": 1})
    assert (await ended(queue, quick)).state == "completed"
    assert [(await queue.job(job_id)).state for job_id in job_ids] == ["claimed"] * 3  # type: ignore[union-attr]
    for job_id in job_ids:
        job = await ended(queue, job_id)
        assert (job.state, job.attempt) == ("completed", 1)
    assert not worker.logged("loop_blocked")


async def test_a_redis_that_is_full_for_longer_than_a_lease_costs_no_result(
    own_valkey: ValkeyProcess, start_process: StartProcess, prefix: str
) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, prefix=prefix, lease_ms=1000))
    start_process("--id", "w1", redis_url=own_valkey.url, **QUICK)
    job_id = await simulate(queue, {"progress": 1}, {"sleep_ms": 3000}, {"result": "kept"})
    await at_work(queue, job_id)
    start_process("--id", "heir", "--poll-ms", "100", redis_url=own_valkey.url, **QUICK)
    await alive(queue, 2)
    await call(queue, "CONFIG", "SET", "maxmemory", 1)
    assert (await queue.job(job_id)).state == "claimed"  # type: ignore[union-attr]
    deadline = await seconds(queue) + 5

    async def two_leases_after_its_end() -> bool:
        return await seconds(queue) >= deadline

    await until(two_leases_after_its_end)
    await call(queue, "CONFIG", "SET", "maxmemory", 0)
    job = await ended(queue, job_id)
    assert (job.state, job.attempt, job.worker_id, job.result) == ("completed", 1, "w1", msgspec.Raw(b'"kept"'))
    await queue.close()


async def seconds(queue: Queue) -> float:
    """Redis's clock."""
    whole, micro = await call(queue, "TIME")
    return int(whole) + int(micro) / 1e6


async def test_where_all_are_busy_and_no_server_is_there_a_lost_workers_job_is_put_back_all_the_same(
    queue: Queue, start_worker: StartWorker
) -> None:
    busy = [await simulate(queue, {"progress": 1}, {"sleep_ms": 60_000}) for _ in range(2)]
    for _ in busy:
        await start_worker(queue={"lease_ms": 5_000, "heartbeat_ttl_ms": 5_000}, heartbeat_interval_ms=2_000)
    for job_id in busy:
        await at_work(queue, job_id)
    ghost = await simulate(queue, {"result": 1})
    short = Queue(FunctionCaller(msgspec.structs.replace(queue.settings, lease_ms=1_000), install=False))
    assert [lease.job_id for lease in await short.claim("ghost")] == [ghost]
    await in_state(queue, ghost, "pending", within=30)
    assert [(await queue.job(job_id)).state for job_id in busy] == ["claimed", "claimed"]
    await short.close()
