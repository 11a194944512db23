"""Jobs that are hard on a queue: they kill their workers, are broken in Redis, or come in a batch with a bad one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import httpx
import pytest
import redis.asyncio

from harness.testing import fresh
from scenarios.received_facts import kinds, reached, until_claimed_by
from scenarios.stacks import OwnStack, fail, ours, script, wait

pytestmark = pytest.mark.criterion("modern-clients")

DELIVERIES: Final = 3
LONG_BACKOFF_MS: Final = 3_000


@pytest.fixture
def brittle(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack that gives a job up after a few lost workers, notices a loss within a second, and retries late."""
    settings = {
        "hubgate_max_deliveries": DELIVERIES,
        "hubgate_lease_ms": 800,
        "worker_heartbeat_interval_ms": 200,
        "hubgate_retry_backoff_ms": LONG_BACKOFF_MS,
    }
    with ours(request, "a stack whose settings it can choose").stack("brittle", settings=settings) as own:
        yield own


@pytest.mark.fast
@pytest.mark.timeout(60)
async def test_a_job_whose_every_worker_dies_is_given_up_and_says_why(brittle: OwnStack) -> None:
    async with brittle.modern() as client:
        job_id = await client.submit(script(10, wait(60_000)))
        following = asyncio.create_task(client.follow_to_end(job_id))
        for number in range(1, DELIVERIES + 1):
            worker = await brittle.worker(f"victim{number}")
            await until_claimed_by(client, job_id, worker.name)
            worker.kill()
        keeper = await brittle.worker("keeper")
        events = await asyncio.wait_for(following, 10)
        assert kinds(events)[-1] == "failed", f"it is with {keeper.name}"
        assert kinds(events).count("claimed") == DELIVERIES
        assert "lost its worker" in (await client.job(job_id))["error"]


@pytest.mark.fast
async def test_a_record_that_is_none_stops_no_other_job(isolated_stack: OwnStack) -> None:
    async with isolated_stack.modern() as client:
        broken = await client.submit(script(50), priority=9)
        sound = [await client.submit(script(50)) for _ in range(3)]
        async with redis.asyncio.Redis.from_url(isolated_stack.namespace.url) as server:
            await server.set(f"{isolated_stack.namespace.prefix}record:{broken}", b"no record")
        await isolated_stack.worker()
        ends = [kinds(await asyncio.wait_for(client.follow_to_end(job_id), 8))[-1] for job_id in sound]
        assert ends == ["completed"] * 3


async def test_a_job_that_waits_for_its_next_attempt_is_cancelled_and_has_none(brittle: OwnStack) -> None:
    await brittle.worker()
    async with brittle.modern() as client:
        job_id = await client.submit(script(50, fail("not yet")))
        await reached(client, job_id, "attempt_failed")
        await client.cancel(job_id, "not needed")
        assert kinds(await asyncio.wait_for(client.follow_to_end(job_id), 5))[-1] == "cancelled"
        later = await client.submit(script(50))
        await client.follow_to_end(later)
        await asyncio.sleep(LONG_BACKOFF_MS / 1000)  # its next attempt would have begun by now
        job = await client.job(job_id)
        assert (job["status"], job["failures"]) == ("cancelled", 1)


@pytest.mark.fast
async def test_each_job_of_a_batch_is_answered_in_its_place_and_a_bad_one_spoils_no_other(
    isolated_stack: OwnStack,
) -> None:
    good = [{"service_required": "simulation", "payload": script(50), "id": fresh("batch")} for _ in range(12)]
    batch = [*good[:5], {"service_required": "simulation", "payload": {}, "priority": "high"}, *good[5:]]
    async with isolated_stack.http() as http, isolated_stack.modern() as client:
        answer = await http.post("/api/jobs", json=batch)
        assert answer.status_code == httpx.codes.OK
        items = answer.json()
        assert [item["status"] for item in items] == [*[201] * 5, 422, *[201] * 7]
        assert [item["job"]["job_id"] for item in items if "job" in item] == [job["id"] for job in good]
        await isolated_stack.workers(2)
        for job in good:
            assert kinds(await client.follow_to_end(str(job["id"])))[-1] == "completed"
