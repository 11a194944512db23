"""The worker as a process: signals, crashes, a Redis that goes away, and what it says when it cannot run."""

from __future__ import annotations

import random
import signal
from typing import Any

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import NewJob, Queue, QueueSettings
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.worker.conftest import StartProcess, at_work, ended, in_state, simulate


async def alive(queue: Queue, count: int = 1) -> None:
    async def fact() -> bool:
        return len([worker for worker in await queue.workers() if worker.alive]) >= count

    await until(fact)


async def test_sigterm_lets_the_running_job_finish_and_exits_with_0(queue: Queue, start_process: StartProcess) -> None:
    worker = start_process("--id", "w1")
    job_id = await simulate(queue, {"progress": 1}, {"sleep_ms": 400})
    await at_work(queue, job_id)
    worker.signal(signal.SIGTERM)
    waiting = await simulate(queue)
    assert await worker.exit_status() == 0
    assert (await queue.job(job_id)).state == "completed"  # type: ignore[union-attr]
    assert (await queue.job(waiting)).state == "pending"  # type: ignore[union-attr]


async def test_after_the_grace_period_jobs_are_handed_back_uncounted(queue: Queue, start_process: StartProcess) -> None:
    worker = start_process(WORKER_SHUTDOWN_GRACE_MS="200", WORKER_MAX_CONCURRENT_JOBS="3")
    job_ids = [await simulate(queue, {"hang": True}) for _ in range(3)]
    for job_id in job_ids:
        await in_state(queue, job_id, "claimed")
    worker.signal(signal.SIGTERM)
    assert await worker.exit_status(within=3) == 0
    for job_id in job_ids:
        job = await queue.job(job_id)
        assert job is not None
        assert (job.state, job.failures, job.worker_id) == ("pending", 0, None)
    assert await queue.workers() == []


@pytest.mark.usefixtures("reaped_before")
async def test_a_worker_frozen_past_its_lease_goes_on_with_a_job_that_nobody_else_has_claimed(
    queue: Queue, start_process: StartProcess
) -> None:
    worker = start_process(HUBGATE_LEASE_MS="600", HUBGATE_HEARTBEAT_TTL_MS="600", WORKER_HEARTBEAT_INTERVAL_MS="200")
    job_id = await simulate(queue, {"progress": 1}, {"sleep_ms": 1500}, {"result": 1})
    await at_work(queue, job_id)
    worker.signal(signal.SIGSTOP)
    await until(queue.reap)
    worker.signal(signal.SIGCONT)
    job = await ended(queue, job_id)
    assert (job.state, job.attempt) == ("completed", 1)
    assert not worker.logged("job_stopped")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_does_not_wait_for_the_grace_period(
    second: signal.Signals, queue: Queue, start_process: StartProcess
) -> None:
    worker = start_process(WORKER_SHUTDOWN_GRACE_MS="60000")
    job_id = await simulate(queue, {"progress": 1}, {"hang": True})
    await at_work(queue, job_id)
    worker.signal(signal.SIGTERM)
    await worker.until_logged("worker_stopping")
    assert worker.process.poll() is None
    worker.signal(second)
    assert await worker.exit_status(within=3) == 0
    assert (await queue.job(job_id)).state == "pending"  # type: ignore[union-attr]


async def test_a_worker_that_must_leave_while_redis_is_gone_says_what_it_leaves(
    own_valkey: ValkeyProcess, start_process: StartProcess, prefix: str
) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, prefix=prefix))
    worker = start_process(redis_url=own_valkey.url, WORKER_SHUTDOWN_GRACE_MS="100", HUBGATE_CALL_TIMEOUT_MS="500")
    job_id = await simulate(queue, {"progress": 1}, {"hang": True})
    await at_work(queue, job_id)
    own_valkey.pause()
    worker.signal(signal.SIGTERM)
    assert await worker.exit_status(within=12) == 1
    [left] = worker.logged("worker_stopped")
    assert (left["handed_back"], left["left"]) == (1, 1)
    own_valkey.resume()
    await queue.close()


async def test_a_killed_workers_jobs_run_again_on_another(queue: Queue, start_process: StartProcess) -> None:
    quick = {"HUBGATE_LEASE_MS": "1000", "HUBGATE_HEARTBEAT_TTL_MS": "1000", "WORKER_HEARTBEAT_INTERVAL_MS": "300"}
    victim = start_process("--id", "victim", "--concurrency", "20", **quick)
    job_ids = [await simulate(queue, {"sleep_ms": 2000}) for _ in range(20)]
    for job_id in job_ids:
        await in_state(queue, job_id, "claimed")
    victim.signal(signal.SIGKILL)
    start_process("--id", "heir", "--concurrency", "20", "--poll-ms", "200", **quick)
    for job_id in job_ids:
        job = await ended(queue, job_id, within=15)
        assert (job.state, job.worker_id, job.attempt, job.failures) == ("completed", "heir", 2, 0)


async def test_a_redis_restart_loses_no_job_and_stops_none(start_process: StartProcess, prefix: str) -> None:
    valkey = ValkeyProcess("--appendonly", "yes", "--appendfsync", "always")
    valkey.start()
    try:
        settings = QueueSettings(redis_url=valkey.url, prefix=prefix)
        queue = await Queue.connect(settings)
        worker = start_process("--concurrency", "2", "--id", "w1", redis_url=valkey.url)
        running = await simulate(queue, {"progress": 10}, {"sleep_ms": 1500}, {"progress": 90}, {"result": 1})
        await in_state(queue, running, "claimed")
        waiting = [await simulate(queue, {"sleep_ms": 10}) for _ in range(5)]
        valkey.kill()
        await worker.until_logged("redis_away")
        valkey.start()
        job = await ended(queue, running, within=15)
        assert (job.state, job.attempt, job.progress) == ("completed", 1, 90)
        for job_id in waiting:
            assert (await ended(queue, job_id)).state == "completed"
        worker.signal(signal.SIGTERM)
        assert await worker.exit_status() == 0
        assert len(worker.logged("redis_away")) == 1
        assert len(worker.logged("redis_back")) == 1
        await queue.close()
    finally:
        valkey.remove()


async def test_while_redis_stands_still_a_running_job_goes_on_and_ends(
    own_valkey: ValkeyProcess, start_process: StartProcess, prefix: str
) -> None:
    settings = QueueSettings(redis_url=own_valkey.url, prefix=prefix, lease_ms=60_000)
    queue = await Queue.connect(settings)
    worker = start_process(
        "--id", "w1", redis_url=own_valkey.url, HUBGATE_CALL_TIMEOUT_MS="500", HUBGATE_LEASE_MS="60000"
    )
    script = [{"progress": 10}, {"sleep_ms": 500}, {"progress": 50}, {"progress": 99}, {"result": "kept"}]
    job_id = await simulate(queue, *script)
    await in_state(queue, job_id, "claimed")
    own_valkey.pause()
    await worker.until_logged("redis_away")
    own_valkey.resume()
    job = await ended(queue, job_id)
    assert (job.state, job.attempt, job.result) == ("completed", 1, msgspec.Raw(b'"kept"'))
    history = await queue.history(job_id)
    steps = [event.progress for event in history if event.kind == "progress"]
    assert sorted(set(steps)) == [10, 50, 99]
    assert history[-1].kind == "completed"
    await queue.close()


async def test_a_worker_that_lost_its_lease_meanwhile_drops_the_job(
    own_valkey: ValkeyProcess, start_process: StartProcess, prefix: str
) -> None:
    settings = QueueSettings(redis_url=own_valkey.url, prefix=prefix, lease_ms=600, heartbeat_ttl_ms=600)
    queue = await Queue.connect(settings)
    quick = {
        "HUBGATE_LEASE_MS": "600",
        "HUBGATE_HEARTBEAT_TTL_MS": "600",
        "WORKER_HEARTBEAT_INTERVAL_MS": "200",
        "WORKER_POLL_INTERVAL_MS": "100",
    }
    frozen = start_process("--id", "frozen", redis_url=own_valkey.url, **quick)
    job_id = await simulate(queue, {"sleep_ms": 300}, {"result": "done"})
    await in_state(queue, job_id, "claimed")
    frozen.signal(signal.SIGSTOP)
    start_process("--id", "heir", redis_url=own_valkey.url, **quick)
    job = await ended(queue, job_id)
    assert (job.worker_id, job.attempt) == ("heir", 2)
    frozen.signal(signal.SIGCONT)
    following = await simulate(queue, {"sleep_ms": 100})
    assert (await ended(queue, following)).state == "completed"
    ends = [event for event in await queue.history(job_id) if event.kind == "completed"]
    assert [(event.worker_id, event.attempt) for event in ends] == [("heir", 2)]
    frozen.signal(signal.SIGTERM)
    assert await frozen.exit_status() == 0
    await queue.close()


async def test_a_worker_started_before_its_redis_waits_for_it(
    own_valkey: ValkeyProcess, start_process: StartProcess, prefix: str
) -> None:
    own_valkey.kill()
    worker = start_process("--id", "early", redis_url=own_valkey.url)
    await worker.until_logged("redis_away")
    own_valkey.start()
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, prefix=prefix))
    await alive(queue)
    job_id = (await queue.submit(NewJob())).job_id
    assert (await ended(queue, job_id)).worker_id == "early"
    await queue.close()


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "said"),
    [
        (["--connector", "nosuch"], {}, 2, "there is no connector 'nosuch'"),
        (["--connector", "simulation:colour=red"], {}, 2, "there is no setting 'colour'"),
        ([], {"WORKER_CONNECTORS": ""}, 2, "WORKER_CONNECTORS names no connector"),
        ([], {"WORKER_MAX_CONCURRENT_JOBS": "many"}, 2, "WORKER_MAX_CONCURRENT_JOBS must be a whole number"),
        ([], {"WORKER_MAX_CONCURRENT_JOBS": "0"}, 2, "WORKER_MAX_CONCURRENT_JOBS must be greater than 0"),
        ([], {"HUBGATE_LEASE_MS": "1000"}, 2, "may be at most half of"),
        (["--redis", "http://host"], {}, 2, "The Redis URL must start with redis://"),
        (["--redis", "redis://127.0.0.1:1"], {"WORKER_CONNECT_TIMEOUT_MS": "1"}, 3, "cannot be reached"),
    ],
)
async def test_what_cannot_run_says_why_in_one_line(
    arguments: list[str], environment: dict[str, str], status: int, said: str, start_process: StartProcess
) -> None:
    worker = start_process(*arguments, **environment)
    assert await worker.exit_status() == status
    last: Any = worker.said().splitlines()[-1]
    assert last.startswith("hubgate worker: ")
    assert said in last


async def test_a_second_worker_under_a_name_in_use_does_not_start(queue: Queue, start_process: StartProcess) -> None:
    quick = {"WORKER_HEARTBEAT_INTERVAL_MS": "300"}
    first = start_process("--id", "twin", **quick)
    await alive(queue)
    second = start_process("--id", "twin", **quick)
    assert await second.exit_status() == 2
    assert "a worker named twin is alive on" in second.said()
    assert first.process.poll() is None


async def test_a_worker_may_come_back_at_once_under_the_name_of_one_that_was_killed(
    queue: Queue, start_process: StartProcess
) -> None:
    first = start_process("--id", "phoenix")
    await alive(queue)
    first.signal(signal.SIGKILL)
    await first.exit_status()
    start_process("--id", "phoenix")
    job_id = await simulate(queue)
    assert (await ended(queue, job_id, within=4)).worker_id == "phoenix"


async def test_whatever_befalls_workers_every_job_ends_once(queue: Queue, start_process: StartProcess) -> None:
    """Kills, stops, pauses and restarts among five workers, while 150 jobs run."""
    quick = {
        "HUBGATE_LEASE_MS": "800",
        "HUBGATE_HEARTBEAT_TTL_MS": "800",
        "HUBGATE_MAX_DELIVERIES": "50",
        "WORKER_HEARTBEAT_INTERVAL_MS": "250",
        "WORKER_POLL_INTERVAL_MS": "200",
        "WORKER_SHUTDOWN_GRACE_MS": "100",
        "WORKER_MAX_CONCURRENT_JOBS": "3",
    }

    async def more_than(count: int) -> bool:
        return (await queue.counts()).completed > count

    async def counts_as_dead(pid: int) -> bool:
        return not any(worker.alive for worker in await queue.workers() if worker.report.pid == pid)

    chance = random.Random(7)
    workers = [start_process(**quick) for _ in range(5)]
    await alive(queue, 5)
    script = [{"progress": 30}, {"sleep_ms": 60}, {"progress": 80}, {"sleep_ms": 60}]
    job_ids = [await simulate(queue, *script) for _ in range(150)]
    for strike in range(10):
        await until(lambda strike=strike: more_than(10 * strike), within=30)
        victim = chance.choice(workers)
        fate = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        victim.signal(fate)
        if fate is signal.SIGSTOP:
            await until(lambda pid=victim.process.pid: counts_as_dead(pid))
            victim.signal(signal.SIGCONT)
        else:
            workers.remove(victim)
            workers.append(start_process(**quick))
    for job_id in job_ids:
        job = await ended(queue, job_id, within=30)
        assert (job.state, job.failures) == ("completed", 0)
        history = await queue.history(job_id)
        assert [event.kind for event in history].count("completed") == 1
        last = [event for event in history if event.attempt == job.attempt]
        assert [event.progress for event in last if event.kind == "progress"] == [30, 80]
