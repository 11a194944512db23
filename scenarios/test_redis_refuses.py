"""Redis answers and refuses: a replica for a while, or its memory is full. Nobody exits, and no work is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from harness.processes import Valkey, start_valkey
from harness.targets import Deployment
from harness.testing import OwnServer, fresh, until
from scenarios.received_facts import reached
from scenarios.stacks import Stacks, ours, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

SOON_S = 30
"""A client that is asked to come later than that is lost for longer than most outages last."""


@pytest.fixture
def refusing(request: pytest.FixtureRequest) -> Iterator[tuple[OwnServer, Valkey]]:
    """A stack with a worker, on a Redis of its own that the test may set."""
    stacks: Stacks = ours(request, "a Redis of its own")
    redis = start_valkey(stacks.processes, name=fresh("valkey"))
    deployment = Deployment.start(stacks.processes, stacks.setup(name=fresh("api")), redis)
    deployment.start_workers([deployment.worker_launch(fresh("worker"))])
    yield OwnServer(deployment), redis
    for process in (*deployment.workers, *deployment.servers):
        process.kill()
    redis.close()


async def is_ready(http: httpx.AsyncClient, status: int, says: str) -> None:
    """Wait until a load balancer is told so, and why."""
    told: list[str] = []

    async def is_so() -> bool:
        answer = await http.get("/health/ready")
        told[:] = [f"{answer.status_code} {answer.text}"]
        return bool(answer.status_code == status and says in answer.text)

    try:
        await until(is_so, 20, says)
    except TimeoutError:
        raise AssertionError(f"readiness, where it is {says}, was told as {told[-1]}") from None


async def taken_again(http: httpx.AsyncClient) -> str:
    """Wait until a job is taken; its id."""
    job_id = fresh("job")

    async def taken() -> bool:
        job = {"id": job_id, "service_required": "simulation", "payload": script(50, result="done")}
        return (await http.post("/api/jobs", json=job)).status_code in {httpx.codes.CREATED, httpx.codes.OK}

    await until(taken, 20, "a job that is taken again")
    return job_id


async def test_a_redis_that_takes_no_writes_for_a_while_is_away_for_so_long(
    refusing: tuple[OwnServer, Valkey],
) -> None:
    stack, redis = refusing
    async with stack.http() as http, stack.modern() as client:
        before = await client.submit(script(50, wait(300), 90, result="done"))
        await reached(client, before)
        redis.execute("REPLICAOF", "127.0.0.1", "1")
        await asyncio.sleep(1)  # the job takes its last step and ends meanwhile: both have to wait
        refused = await http.post("/api/jobs", json={"service_required": "simulation", "payload": {}})
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE, refused.text
        assert 1 <= int(refused.headers["retry-after"]) <= SOON_S
        await is_ready(http, httpx.codes.SERVICE_UNAVAILABLE, "read-only")
        redis.execute("REPLICAOF", "NO", "ONE")
        await is_ready(http, httpx.codes.OK, "ready")
        told = await client.follow_to_end(before)
        assert [event.data["progress"] for event in told if event.kind == "progress"] == [50, 90]
        for job_id in (before, await taken_again(http)):
            await client.follow_to_end(job_id)
            assert (await client.job(job_id))["result"] == "done"


async def test_a_worker_that_starts_while_redis_takes_no_writes_waits_for_it(
    refusing: tuple[OwnServer, Valkey], stacks: Stacks
) -> None:
    stack, redis = refusing
    late = stack.deployment.worker_launch(fresh("late"), connector="simulation:services=late")
    redis.execute("REPLICAOF", "127.0.0.1", "1")
    starting = asyncio.create_task(stack.deployment.astart_workers([late]))

    async def has_met_it() -> bool:
        if starting.done():
            starting.result()
        return any(one.name == late.name and "redis_away" in one.log_text() for one in stacks.processes)

    await until(has_met_it, 30, "a worker that finds Redis away")
    redis.execute("REPLICAOF", "NO", "ONE")
    [worker] = await starting
    await asyncio.to_thread(stack.deployment.workers[0].stop)  # it takes any job, this one too
    async with stack.modern() as client:
        job_id = await client.submit(script(50, result="done"), service="late")
        await client.follow_to_end(job_id)
        assert (await client.job(job_id))["worker_id"] == worker.name
    assert worker.own_exits == []


async def test_a_redis_whose_memory_is_full_takes_no_new_jobs_and_lets_the_others_end(
    refusing: tuple[OwnServer, Valkey],
) -> None:
    stack, redis = refusing
    async with stack.http() as http, stack.modern() as client:
        running = await client.submit(script(50, wait(1_000), result="done"))
        waiting = [await client.submit(script(50, result="done")) for _ in range(2)]
        await reached(client, running)
        redis.execute("CONFIG", "SET", "maxmemory", "1mb")
        refused = await http.post("/api/jobs", json={"service_required": "simulation", "payload": {}})
        assert refused.status_code in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.INSUFFICIENT_STORAGE}, refused.text
        await is_ready(http, httpx.codes.SERVICE_UNAVAILABLE, "full")
        attention = (await http.get("/api/overview")).json()["attention"]
        [memory] = [one for one in attention if one["kind"] == "memory"]
        assert memory["count"] > 80
        assert memory["text"].startswith(f"Redis's memory is {memory['count']} % full")
        assert (await http.post(f"/api/jobs/{waiting[1]}/cancel")).json()["status"] == "cancelled"
        for job_id in (running, waiting[0]):
            await client.follow_to_end(job_id)
            assert (await client.job(job_id))["result"] == "done"
        redis.execute("CONFIG", "SET", "maxmemory", "0")
        await client.follow_to_end(await taken_again(http))
