"""Workers that are lost, and what only looks like a loss: jobs beside a dangerous one, freezes, answers, clocks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
import pytest
import redis.asyncio

from harness.clients import ModernClient
from harness.faults import Direction, Proxy
from harness.processes import Process, Valkey
from harness.targets import Deployment
from harness.testing import TooLate, fresh, until
from scenarios.received_facts import reached, story, until_claimed_by
from scenarios.stacks import OwnStack, Stacks, ours, script, wait

pytestmark = [pytest.mark.criterion("mixed-clients"), pytest.mark.fast, pytest.mark.timeout(90)]

DELIVERIES: Final = 3
LEASE_MS: Final = 800
HOUR_MS: Final = 3_600_000
LONG_LEASE_MS: Final = 60_000
SOON_S: Final = 20
"""For a busy machine; far less than a long lease."""


@pytest.fixture
def brittle(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack that notices a lost worker within a second and gives a job up that has lost a few."""
    settings = {
        "hubgate_max_deliveries": DELIVERIES,
        "hubgate_lease_ms": LEASE_MS,
        "hubgate_reap_ms": 200,
        "worker_heartbeat_interval_ms": 200,
    }
    with ours(request, "a stack whose settings it can choose").stack("brittle", settings=settings) as own:
        yield own


async def test_jobs_that_have_lost_two_workers_run_alone_from_then_on(brittle: OwnStack) -> None:
    async with brittle.modern() as client:
        beside = [await client.submit(script(10, wait(60_000))) for _ in range(2)]
        for _ in range(2):
            worker = await brittle.worker("lost", concurrency=2)
            for job_id in beside:
                await until_claimed_by(client, job_id, worker.name)
            worker.kill()
        with_room = await brittle.worker("with-room", concurrency=2)
        held: list[str] = []

        async def one_is_held() -> bool:
            jobs = [await client.job(job_id) for job_id in beside]
            held[:] = [str(job["job_id"]) for job in jobs if job["worker_id"] == with_room.name]
            return bool(held)

        await until(one_is_held, SOON_S, "one of both with a worker that has room for both")
        (other,) = {*beside} - {*held}
        await until_claimed_by(client, other, (await brittle.worker("another", concurrency=2)).name)
        harmless = await client.submit(script(10, wait(60_000)))
        third = await brittle.worker("third")
        claimed = await reached(client, harmless, "claimed")
        jobs = [await client.job(job_id) for job_id in beside]
        if {(job["status"], job["attempt"]) for job in jobs} != {("claimed", 3)}:
            raise TooLate("a lease of one of both ran out once more: its worker was slow, and not beside it")
        assert claimed.data["worker_id"] == third.name, "it was taken beside a dangerous one"


async def test_a_worker_that_was_only_frozen_was_not_lost(brittle: OwnStack) -> None:
    """It has its job again as often as it wakes, more often than a job may lose its worker."""
    worker = await brittle.worker("frozen")
    async with brittle.modern() as client:
        job_id = await client.submit(script(10, wait(60_000)))

        async def is_in(status: str) -> bool:
            found = (await client.job(job_id))["status"]
            assert found != "failed", "it counted as having lost its worker"
            return bool(found == status)

        for _ in range(DELIVERIES):
            await until(lambda: is_in("claimed"), SOON_S, "the job with its worker")
            worker.signal(signal.SIGSTOP)
            try:
                await until(lambda: is_in("pending"), SOON_S, "the job back in the queue")
            finally:
                worker.signal(signal.SIGCONT)
        await until(lambda: is_in("claimed"), SOON_S, "the job with its worker in the end")


async def test_a_job_keeps_its_lease_up_to_its_timeout_however_long_its_worker_gives_it_to_stop(
    brittle: OwnStack,
) -> None:
    await brittle.worker("patient", worker_job_timeout_minutes=1, worker_stop_grace_ms=HOUR_MS)
    async with brittle.modern() as client:
        job_id = await client.submit(script(10, wait(3 * LEASE_MS), result="done"))
        assert story(await client.follow_to_end(job_id)) == "submitted claimed progress completed"


async def test_no_lease_lasts_longer_for_a_clock_of_redis_that_was_set_back(brittle: OwnStack) -> None:
    """What is left in Redis is what an hour that was taken back leaves there."""
    doomed = await brittle.worker("doomed")
    async with brittle.modern() as client, redis.asyncio.Redis.from_url(brittle.namespace.url) as server:
        job_id = await client.submit(script(10, wait(1_000), result="done"), max_retries=0)
        await until_claimed_by(client, job_id, doomed.name)
        doomed.kill()
        prefix = brittle.namespace.prefix
        reaped_at = await until(lambda: server.get(f"{prefix}reaped_at"), SOON_S, "the first look for lost workers")
        async with server.pipeline(transaction=True) as at_once:
            at_once.zincrby(f"{prefix}leases", HOUR_MS, job_id)
            last, grace = reaped_at.split()
            at_once.set(f"{prefix}reaped_at", f"{int(last) + HOUR_MS} {int(grace) + HOUR_MS}")
            await at_once.execute()
        await until_claimed_by(client, job_id, (await brittle.worker("next")).name)


@dataclass(kw_only=True)
class Behind:
    """A worker whose line to Redis can be broken; the clients' one is whole."""

    line: Proxy
    client: ModernClient
    worker: Process


@asynccontextmanager
async def behind_a_line(
    request: pytest.FixtureRequest, stacks: Stacks, *, concurrency: int = 1
) -> AsyncIterator[Behind]:
    own = ours(request, "a line that it can break").stack("line", settings={"hubgate_lease_ms": LONG_LEASE_MS})
    if not isinstance(stacks.redis, Valkey):
        pytest.skip("needs a Redis whose port it knows")
    with own as stack:
        async with Proxy("127.0.0.1", stacks.redis.port, name="redis") as line, stack.modern() as client:
            url = stack.namespace.url.replace(f":{stacks.redis.port}", f":{line.port}")
            target = msgspec.structs.replace(stack.deployment.target, redis_url=url)
            behind = Deployment(target, setup=stack.deployment.setup, processes=stacks.processes)
            launch = behind.worker_launch(fresh("behind"), concurrency=concurrency)
            [worker] = await behind.astart_workers([launch])
            yield Behind(line=line, client=client, worker=worker)
            behind.stop()


async def test_a_claim_whose_answer_was_lost_is_handed_back_at_once(
    request: pytest.FixtureRequest, stacks: Stacks
) -> None:
    """It waits for no lease to run out, which would count against it."""
    async with behind_a_line(request, stacks) as behind:
        client = behind.client
        first = await client.submit(script(10, wait(1_000), result="first"))
        await reached(client, first)
        second = await client.submit(script(50, result="second"))
        behind.line.partition(Direction.DOWN)
        await until_claimed_by(client, second, behind.worker.name)  # with the end of the first, in one call
        behind.line.cut()
        behind.line.heal()
        async with asyncio.timeout(SOON_S):
            events = await client.follow_to_end(second)
        assert story(events) == "submitted claimed released claimed progress completed"
        assert (await client.job(first))["result"] == "first"


async def test_an_end_that_comes_while_another_is_under_way_is_not_lost_with_its_answer(
    request: pytest.FixtureRequest, stacks: Stacks
) -> None:
    async with behind_a_line(request, stacks, concurrency=2) as behind:
        client = behind.client
        first = await client.submit(script(10, wait(800), result="first"))
        second = await client.submit(script(10, wait(1_600), result="second"))
        for job_id in (first, second):
            await reached(client, job_id)
        behind.line.partition(Direction.DOWN)
        await reached(client, first, "completed")
        await asyncio.sleep(2)  # the second comes to its end, and nobody can be told
        behind.line.cut()
        behind.line.heal()
        for job_id in (first, second):
            async with asyncio.timeout(SOON_S):
                events = await client.follow_to_end(job_id)
            assert story(events) == "submitted claimed progress completed"
