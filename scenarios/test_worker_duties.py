"""What a worker does beside its jobs: it has its own name, waits for Redis, reaps where nobody else does, leaves."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import msgspec
import pytest
import redis.asyncio

from harness.processes import Process, free_port, services, start_valkey
from harness.targets import Deployment
from harness.testing import OwnServer, fresh, until
from scenarios.received_facts import reached
from scenarios.stacks import OwnStack, Stacks, ours, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

LONG_MS: Final = 60_000
HANG: Final = {"simulate": [{"progress": 10}, {"hang": True}]}
WITHIN_S: Final = 15


@pytest.fixture
def mine(request: pytest.FixtureRequest) -> Stacks:
    return ours(request, "processes of its own")


@pytest.fixture
def unattended(mine: Stacks) -> Iterator[OwnStack]:
    """A stack whose API does not look at what the clock brings about."""
    with mine.stack("unattended", settings={"hubgate_reap_ms": LONG_MS}) as own:
        yield own


@pytest.fixture
def trusting(mine: Stacks) -> Iterator[OwnStack]:
    """A stack in which who is silent for long still counts as alive."""
    settings = {"hubgate_lease_ms": LONG_MS, "hubgate_heartbeat_ttl_ms": LONG_MS}
    with mine.stack("trusting", settings=settings) as own:
        yield own


async def comes_to(http: httpx.AsyncClient, job_id: str, **wanted: Any) -> None:
    """Wait until a job has these fields."""

    async def so() -> bool:
        job = (await http.get(f"/api/jobs/{job_id}")).json()
        return all(job.get(name) == value for name, value in wanted.items())

    await until(so, WITHIN_S, f"{job_id} with {wanted}")


async def another_of_the_name(mine: Stacks, stack: OwnServer, name: str) -> Process:
    """Begin to start another worker of that name."""
    launch = stack.deployment.worker_launch(name)
    process = await mine.processes.astart(msgspec.structs.replace(launch, name=fresh("namesake"), probe=None))
    process.expected_to_live = False
    return process


async def test_a_name_that_another_worker_has_is_refused_and_one_that_its_holder_left_is_taken(
    mine: Stacks, trusting: OwnStack
) -> None:
    name, deployment = fresh("twin"), trusting.deployment
    [first] = await deployment.astart_workers([deployment.worker_launch(name)])
    refused = await another_of_the_name(mine, trusting, name)
    await until(lambda: not refused.alive, WITHIN_S, "the end of a worker whose name is taken")
    assert refused.returncode == 2
    assert f"a worker named {name} is alive on " in refused.log_text()
    assert f"(process {first.pid})" in refused.log_text()
    first.kill()
    reports = f"{trusting.namespace.prefix}reports"
    async with redis.asyncio.Redis.from_url(trusting.namespace.url) as server:
        report = await server.hget(reports, name)
        await server.hset(reports, name, report.replace(b'"host":"', b'"host":"not-'))
        patient = await another_of_the_name(mine, trusting, name)  # who knows what lives on another machine?
        with pytest.raises(TimeoutError):
            await until(lambda: not patient.alive or "worker_ready" in patient.log_text(), 1.5)
        await asyncio.to_thread(patient.stop)
        await server.hset(reports, name, report)
    # It ran here, and is here no more: nobody has to wait until it counts as dead.
    rarely = {"WORKER_HEARTBEAT_INTERVAL_MS": "25000"}
    [second] = await deployment.astart_workers([deployment.worker_launch(name, environment=rarely)])
    waiting = await another_of_the_name(mine, trusting, name)
    with pytest.raises(TimeoutError):
        await until(lambda: not waiting.alive or "worker_ready" in waiting.log_text(), 1.5)
    assert await asyncio.to_thread(second.stop) == 0
    await until(lambda: "worker_ready" in waiting.log_text(), WITHIN_S, "a worker whose name has become free")
    assert await asyncio.to_thread(waiting.stop) == 0


async def test_a_worker_hears_of_a_cancel_long_before_it_renews_its_lease(trusting: OwnStack) -> None:
    rarely = {"worker_heartbeat_interval_ms": 25_000}
    await trusting.worker("full", connector="simulation:services=draw", **rarely)
    await trusting.worker("with-room", connector="simulation:services=cut", concurrency=2, **rarely)
    async with trusting.http() as http, trusting.modern() as client:
        for service, places in (("draw", 1), ("cut", 2)):
            running = [await client.submit(HANG, service=service) for _ in range(places)]
            for job_id in running:
                await reached(client, job_id)
            following = await client.submit(script(10, result="done"), service=service)
            await client.cancel(running[0])
            await comes_to(http, following, status="completed")
            for job_id in running[1:]:
                await client.cancel(job_id)


async def test_who_starts_before_redis_waits_for_it_and_stops_when_it_is_told_to(mine: Stacks) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    both = [services.worker(fresh("early"), redis_url=url, overlay=mine.overlay) for _ in range(2)]
    early, stopped = [await mine.processes.astart(msgspec.structs.replace(one, probe=None)) for one in both]
    await until(lambda: all("redis_away" in one.log_text() for one in (early, stopped)), WITHIN_S, "an outage")
    assert await asyncio.to_thread(stopped.stop) == 0
    redis = await asyncio.to_thread(start_valkey, mine.processes, name=fresh("valkey"), port=port)
    await until(lambda: "worker_ready" in early.log_text(), WITHIN_S, "a worker that waited for Redis")
    assert await asyncio.to_thread(early.stop) == 0
    redis.close()


async def test_a_lost_job_is_put_back_by_an_idle_and_by_a_busy_worker_though_no_api_looks(
    unattended: OwnStack,
) -> None:
    async with unattended.http() as http, unattended.modern() as client:
        for name, busy in (("idle", False), ("busy", True)):
            lost = await unattended.worker("lost", connector="simulation:services=draw")
            job_id = await client.submit(HANG, service="draw")
            await reached(client, job_id)
            other = await unattended.worker(name, connector=f"simulation:services={'cut' if busy else 'draw'}")
            if busy:
                await reached(client, await client.submit(HANG, service="cut"))
            lost.kill()
            if busy:
                await comes_to(http, job_id, status="pending")
            else:
                await comes_to(http, job_id, worker_id=other.name)
                await client.cancel(job_id)
            other.kill()


async def test_who_is_told_twice_to_stop_hurries_and_says_how_many_jobs_it_left(mine: Stacks) -> None:
    redis = await asyncio.to_thread(start_valkey, mine.processes, name=fresh("valkey"))
    deployment = await Deployment.astart(mine.processes, mine.setup(name=fresh("api")), redis)
    stack = OwnServer(deployment)
    hurried = await stack.worker("hurried", connector="simulation:services=draw", concurrency=2)
    handing = await stack.worker("handing", connector="simulation:services=cut", concurrency=2)
    async with stack.http() as http, stack.modern() as client:
        cut = [await client.submit(HANG, service="cut") for _ in range(2)]
        for job_id in [*cut, await client.submit(HANG, service="draw")]:
            await reached(client, job_id)
        assert await asyncio.to_thread(_stopped_twice, handing) == 0
        for job_id in cut:
            await comes_to(http, job_id, status="pending", failures=None)
        redis.close()
        began = time.monotonic()
        assert await asyncio.to_thread(_stopped_twice, hurried) == 1, "it left a job behind"
        assert time.monotonic() - began < WITHIN_S / 2, "it was told to hurry"
    for process in deployment.servers:
        process.kill()


def _stopped_twice(process: Process) -> int | None:
    process.signal(signal.SIGTERM)
    limit = time.monotonic() + WITHIN_S
    while "worker_stopping" not in process.log_text() and time.monotonic() < limit:
        time.sleep(0.01)  # two signals of a kind are one, where the first has not been heard
    return process.stop()


async def test_a_worker_that_lets_its_jobs_finish_says_that_it_stops(isolated_stack: OwnStack) -> None:
    leaving = await isolated_stack.worker("leaving", connector="simulation:services=draw")
    async with isolated_stack.http() as http, isolated_stack.modern() as client:
        running = await client.submit(HANG, service="draw")
        await reached(client, running)
        leaving.expected_to_live = False
        leaving.terminate()

        async def says_so() -> bool:
            return [one["status"] for one in (await http.get("/api/workers")).json()["workers"]] == ["stopping"]

        await until(says_so, WITHIN_S, "a worker that says that it stops")
        await client.cancel(running)
        await until(lambda: not leaving.alive, WITHIN_S, "its end")
        assert leaving.returncode == 0


async def test_a_worker_runs_as_many_jobs_as_it_has_places_and_tells_of_each(isolated_stack: OwnStack) -> None:
    name = "many"
    worker = await isolated_stack.worker(name, connector="simulation:services=draw", concurrency=3)
    async with isolated_stack.http() as http, isolated_stack.modern() as client:
        running = [await client.submit(HANG, service="draw") for _ in range(3)]
        for job_id in running:
            await reached(client, job_id)
        waiting = await client.submit(script(wait(100), result="done"), service="draw")

        async def told() -> dict[str, Any]:
            workers = (await http.get("/api/workers")).json()["workers"]
            return next(one for one in workers if one["worker_id"] == worker.name)

        async def tells(**wanted: Any) -> None:
            async def so() -> bool:
                about = await told()
                return all(about[field] == value for field, value in wanted.items())

            await until(so, WITHIN_S, f"a worker with {wanted}")

        await tells(status="busy", running=running)
        assert (await client.job(waiting))["status"] == "pending"
        for number, job_id in enumerate(running, 1):
            await client.cancel(job_id)
            if number == 1:
                await comes_to(http, waiting, status="completed")
        await tells(status="idle", running=[], jobs_processed=1)
