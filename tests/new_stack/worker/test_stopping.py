"""A worker that is asked to stop: what it finishes, and what it hands back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec

from harness.testing.waiting import until
from new_stack.queue import Completed, Lease, ProgressUpdate, Queue, QueueUnavailable
from new_stack.worker import ConnectorRegistry, EventLog, JobContext, Worker, WorkerSettings
from new_stack.worker.attempt import Attempt, Stop
from new_stack.worker.connector_spec import ConnectorSpec
from new_stack.worker.connectors.simulation import SimulationConnector, SimulationSettings
from new_stack.worker.context import RedisBackoff
from tests.new_stack.worker.conftest import (
    Scripted,
    StartWorker,
    at_work,
    ended,
    in_state,
    kinds,
    simulate,
    stubborn,
)


async def test_a_stopped_worker_takes_no_more_and_finishes_what_it_has(queue: Queue, start_worker: StartWorker) -> None:
    worker = await start_worker()
    running = await simulate(queue, {"progress": 1}, {"sleep_ms": 300})
    waiting = await simulate(queue)
    await at_work(queue, running)
    assert await worker.stop() == 0
    assert (await queue.job(running)).state == "completed"  # type: ignore[union-attr]
    assert (await queue.job(waiting)).state == "pending"  # type: ignore[union-attr]
    assert await queue.workers() == []


async def test_a_worker_that_is_told_to_stop_while_it_registers_ends(queue: Queue) -> None:
    def stop_once_registered(line: str) -> None:
        if msgspec.json.decode(line)["event"] == "worker_ready":
            worker.stop()

    connector = SimulationConnector(SimulationSettings())
    connectors = ConnectorRegistry([(ConnectorSpec(name="simulation", services=("*",)), connector)])
    worker = Worker(WorkerSettings(queue=queue.settings), queue, connectors, EventLog(stop_once_registered))
    async with asyncio.timeout(20):
        assert await worker.run() == 0
    assert await queue.workers() == []


async def test_what_does_not_finish_in_the_grace_period_is_handed_back_uncounted(
    queue: Queue, start_worker: StartWorker
) -> None:
    worker = await start_worker(shutdown_grace_ms=100, max_concurrent_jobs=2)
    first, second = [await simulate(queue, {"hang": True}) for _ in range(2)]
    for job_id in (first, second):
        await in_state(queue, job_id, "claimed")
    assert await worker.stop() == 0
    for job_id in (first, second):
        job = await queue.job(job_id)
        assert job is not None
        assert (job.state, job.failures) == ("pending", 0)
        assert await kinds(queue, job_id) == ["submitted", "claimed", "released"]


async def test_a_hurried_worker_waits_for_no_connector(queue: Queue, start_worker: StartWorker) -> None:
    release = asyncio.Event()
    worker = await start_worker(stubborn(release), shutdown_grace_ms=60_000)
    job_id = await simulate(queue)
    await in_state(queue, job_id, "claimed")
    worker.worker.stop()
    worker.worker.stop()
    async with asyncio.timeout(3):
        assert await worker.task == 0
    assert (await queue.job(job_id)).state == "pending"  # type: ignore[union-attr]
    release.set()


async def test_a_leaving_worker_waits_for_no_connector_that_was_left_behind(
    queue: Queue, start_worker: StartWorker
) -> None:
    release = asyncio.Event()
    worker = await start_worker(stubborn(release), shutdown_grace_ms=60_000, stop_grace_ms=100)
    job_id = await simulate(queue)
    await until(lambda: worker.worker._running.attempts)
    worker.worker.stop()
    await until(lambda: worker.logged("worker_stopping"))
    await queue.cancel(job_id)
    try:
        async with asyncio.timeout(5):
            assert await worker.task == 0
    finally:
        release.set()
    assert worker.logged("connector_ignores_stop")


async def test_a_job_stopped_before_it_began_gives_its_place_back_at_once(
    queue: Queue, start_worker: StartWorker
) -> None:
    worker = await start_worker(shutdown_grace_ms=0)
    job_id = await simulate(queue)
    begin = worker.worker._running.begin

    def begin_and_stop(lease: Any) -> None:
        begin(lease)
        worker.worker.stop()
        for attempt in worker.worker._running.attempts:
            attempt.stop(Stop.SHUTDOWN)

    await ended(queue, job_id)
    worker.worker._running.begin = begin_and_stop  # type: ignore[method-assign]
    job_id = await simulate(queue)
    async with asyncio.timeout(3):
        assert await worker.task == 0
    assert await kinds(queue, job_id) == ["submitted", "claimed", "released"]
    assert not worker.logged("connector_ignores_stop")


async def test_what_a_connector_did_in_time_counts_though_its_last_word_waits_for_redis() -> None:
    """The time-out is the connector's: an outage in which its progress cannot be sent is not added to its time."""
    away, ends = asyncio.Event(), asyncio.Queue[Any]()

    async def progress(_lease: Lease, _update: ProgressUpdate) -> None:
        if not away.is_set():
            raise QueueUnavailable("Redis cannot be reached")

    async def run(job: JobContext) -> str:
        job.report(50)
        return "done"

    log = EventLog(lambda _line: None)
    context: Any = SimpleNamespace(
        log=log,
        queue=SimpleNamespace(progress=progress),
        redis_backoff=RedisBackoff(log),
        settings=WorkerSettings(job_timeout_minutes=0.1 / 60, stop_grace_ms=100),
    )
    lease = Lease(
        job_id="a", attempt=1, service_required="s", priority=0, max_retries=3, failures=0, expires_at=0, worker_id="w"
    )
    attempt = Attempt(context, lease, Scripted(run), ends.put_nowait)
    await asyncio.sleep(0.3)
    away.set()
    async with asyncio.timeout(5):
        end = await ends.get()
    assert isinstance(end, Completed), end
    assert attempt.stop_reason is None
