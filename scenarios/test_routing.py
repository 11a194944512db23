"""A fleet of unlike workers: each runs what it serves, and what nobody serves waits, is told, and runs in the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import pytest

from harness.clients import ModernClient
from harness.testing import fresh, until
from scenarios.received_facts import claimed_by, kinds, reached
from scenarios.stacks import OwnStack, fail, script, wait

pytestmark = pytest.mark.criterion("routing")

SERVED: Final = {
    "draws": ("draw",),
    "writes": ("caption", "translate"),
    "does-both": ("draw", "caption"),
}
"""The services of each crew."""
JOBS: Final = {"draw": 20, "caption": 20, "translate": 10}


def connector(*services: str) -> str:
    """The simulation, serving these services and no other."""
    return f"simulation:services={'+'.join(services)}"


async def crews(stack: OwnStack, count: int = 1) -> None:
    """So many workers of each crew."""
    await asyncio.gather(*(stack.workers(count, crew, connector=connector(*served)) for crew, served in SERVED.items()))


async def runs_of(client: ModernClient, job_ids: list[str]) -> list[str]:
    """Who ran each of these jobs, which all complete at the first attempt."""
    stories = await asyncio.gather(*(client.follow_to_end(job_id) for job_id in job_ids))
    for events in stories:
        assert kinds(events).count("claimed") == 1
        assert kinds(events)[-1] == "completed"
    return [claimed_by(events)[0] for events in stories]


async def queue_of(stack: OwnStack) -> dict[str, Any]:
    """The queue's own counts."""
    async with stack.http() as http:
        counts: dict[str, Any] = (await http.get("/api/stats")).json()["queue"]
    return counts


async def test_no_job_is_run_by_a_worker_that_does_not_serve_it(isolated_stack: OwnStack) -> None:
    await crews(isolated_stack, 2)
    async with isolated_stack.modern() as client:
        submitted = {
            fresh(service): service
            for number in range(max(JOBS.values()))
            for service in JOBS
            if number < JOBS[service]
        }
        for job_id, service in submitted.items():
            await client.submit(script(50, wait(20)), service=service, job_id=job_id)
        ran = await runs_of(client, list(submitted))
    by_crew = Counter(
        (next(crew for crew in SERVED if worker.startswith(f"{crew}-")), service)
        for worker, service in zip(ran, submitted.values(), strict=True)
    )
    assert [pair for pair in by_crew if pair[1] not in SERVED[pair[0]]] == []
    assert {service for _, service in by_crew} == set(JOBS)


@pytest.mark.fast
async def test_the_next_job_is_the_best_of_those_that_the_worker_serves(isolated_stack: OwnStack) -> None:
    async with isolated_stack.modern() as client:
        order = [("draw", 0), ("caption", 5), ("translate", 9), ("draw", 5), ("caption", 0), ("draw", 9)]
        job_ids = {}
        for service, priority in order:
            job_ids[await client.submit(script(50), service=service, priority=priority)] = (service, priority)
        await isolated_stack.worker("does-both", connector=connector("draw", "caption"))
        mine = [job_id for job_id, (service, _) in job_ids.items() if service != "translate"]
        stories = {job_id: await client.follow_to_end(job_id) for job_id in mine}
        claims = sorted(
            (next([int(part) for part in event.id.split("-")] for event in events if event.kind == "claimed"), job_id)
            for job_id, events in stories.items()
        )
        left = next(job_id for job_id, (service, _) in job_ids.items() if service == "translate")
        assert (await client.job(left))["status"] == "pending", "it stands first and is passed over"
    assert [job_ids[job_id] for _, job_id in claims] == [
        ("draw", 9),
        ("caption", 5),
        ("draw", 5),
        ("draw", 0),
        ("caption", 0),
    ]


async def test_what_nobody_serves_waits_is_told_and_runs_when_somebody_joins(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker("draws", connector=connector("draw"))
    async with isolated_stack.modern() as client, isolated_stack.http() as http:
        alone = [await client.submit(script(50), service="upscale", max_retries=0) for _ in range(3)]
        others = [await client.submit(script(50), service="draw") for _ in range(10)]
        assert set(map(str, await runs_of(client, others)))

        async def unserved() -> Any:
            return (await queue_of(isolated_stack)).get("unserved", {}).get("upscale")

        await until(unserved)
        for job_id in alone:
            job = await client.job(job_id)
            assert job["status"] == "pending"
            assert "upscale" in job["waiting_reason"]
        metrics = (await http.get("/metrics")).text
        assert 'hubgate_jobs_unserved{service="upscale"} 3.0' in metrics
        joined = await isolated_stack.worker("upscales", connector=connector("upscale"))
        assert set(await runs_of(client, alone)) == {joined.name}

        async def all_served() -> bool:
            return not (await queue_of(isolated_stack)).get("unserved")

        await until(all_served)


async def test_a_worker_that_is_busy_with_one_service_holds_up_no_other(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker("draws", connector=connector("draw"))
    await isolated_stack.worker("writes", connector=connector("caption"))
    async with isolated_stack.modern() as client:
        long = await client.submit(script(10, wait(60_000)), service="draw")
        await reached(client, long)
        await client.submit(script(50), service="draw", priority=9)
        captions = [await client.submit(script(50), service="caption") for _ in range(5)]
        assert {worker.partition("-")[0] for worker in await runs_of(client, captions)} == {"writes"}
        assert (await client.job(long))["status"] == "claimed"
        await client.cancel(long)


async def test_workers_that_serve_the_same_share_the_claims(isolated_stack: OwnStack) -> None:
    """Each of three has its share: nobody starves, and nobody holds more than it has places for."""
    workers = await isolated_stack.workers(3, "shares", connector=connector("draw"))
    async with isolated_stack.modern() as client:
        job_ids = [await client.submit(script(50, wait(50)), service="draw") for _ in range(45)]
        shares = Counter(await runs_of(client, job_ids))
    assert shares.keys() == {worker.name for worker in workers}
    assert min(shares.values()) >= 45 / 3 / 3, shares


@pytest.mark.fast
async def test_a_killed_workers_job_goes_to_one_that_serves_it(isolated_stack: OwnStack) -> None:
    victim = await isolated_stack.worker("draws", connector=connector("draw"))
    await isolated_stack.worker("writes", connector=connector("caption"))
    async with isolated_stack.modern() as client:
        job_id = await client.submit(script(10, wait(2_000), 90), service="draw")
        await reached(client, job_id)
        victim.kill()
        heir = await isolated_stack.worker("does-both", connector=connector("draw", "caption"))
        assert claimed_by(await client.follow_to_end(job_id)) == [victim.name, heir.name]


@pytest.mark.fast
async def test_a_failed_job_goes_back_to_the_only_worker_that_serves_it(isolated_stack: OwnStack) -> None:
    """One that is idle and does not serve it is nobody to wait for."""
    alone = await isolated_stack.worker("draws", connector=connector("draw"))
    await isolated_stack.worker("writes", connector=connector("caption"))
    async with isolated_stack.modern() as client:
        job_id = await client.submit(script(fail("once", attempts=1), 50), service="draw")
        assert claimed_by(await client.follow_to_end(job_id)) == [alone.name, alone.name]
