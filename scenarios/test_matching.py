"""Phase 3A: a job goes to a worker that can do it, and to no other; its own rules say when it runs again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from harness.testing import fresh, until
from scenarios.received_facts import claimed_by, kinds
from scenarios.stacks import OwnStack, fail, ours, script, wait

pytestmark = pytest.mark.criterion("routing")

ON = {"HUBGATE_MATCHING": "true"}


@pytest.fixture(scope="module")
def _matching(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    with ours(request, "a stack whose workers it can start and stop").stack("matching", settings=ON) as own:
        yield own


@pytest.fixture
def matching(_matching: OwnStack) -> Iterator[OwnStack]:
    """A stack that matches, with no worker and no job but those that the test brings."""
    yield _matching
    _matching.deployment.empty()


async def able(stack: OwnStack, name: str, **capabilities: Any) -> str:
    """A worker that draws, with these capabilities; its name."""
    told = {"worker_capabilities": json.dumps(capabilities)}
    return (await stack.worker(name, connector="simulation:services=draw", **ON, **told)).name


def job(service: str, payload: Any = None, **fields: Any) -> dict[str, Any]:
    """A job with fields of its own, as it is submitted over HTTP."""
    return {"service_required": service, "payload": payload or script(50, wait(20)), "id": fresh("job")} | fields


async def submit(stack: OwnStack, *jobs: dict[str, Any]) -> list[str]:
    """Submit jobs in one request; their ids."""
    async with stack.http() as http:
        answers = (await http.post("/api/jobs", json=jobs)).json()
    assert {answer["status"] for answer in answers} == {201}, answers
    return [str(one["id"]) for one in jobs]


@pytest.mark.parametrize(("crowd", "others", "jobs"), [("video", "image", 20), ("image", "upscale", 100)])
async def test_no_job_fails_for_a_worker_that_does_not_serve_it(
    isolated_stack: OwnStack, crowd: str, others: str, jobs: int
) -> None:
    """The measurements that began it: five `video` beside one `image` worker, four `image` beside one `upscale`."""
    await isolated_stack.workers(5 if crowd == "video" else 4, crowd, connector=f"simulation:services={crowd}")
    await isolated_stack.worker(others, connector=f"simulation:services={others}")
    async with isolated_stack.modern() as client:
        job_ids = [await client.submit(script(50), service="image", max_retries=0) for _ in range(jobs)]
        ends = [kinds(events)[-1] for events in await asyncio.gather(*map(client.follow_to_end, job_ids))]
    assert ends.count("failed") == 0
    assert ends.count("completed") == jobs


async def all_wait(stack: OwnStack, service: str, count: int) -> None:
    """So many workers wait for work of the service: one that has just started is no place for a job yet."""
    async with stack.http() as http:
        later = {"id": fresh("later"), "service_required": service, "not_before": 2**41}
        assert (await http.post("/api/jobs", json=later)).status_code == httpx.codes.CREATED

        async def waiting() -> bool:
            able = (await http.get(f"/api/jobs/{later['id']}/explain")).json()["able"]
            return [worker["idle"] for worker in able] == [True] * count

        await until(waiting, 20, f"{count} workers that wait for work")


async def test_four_workers_with_four_free_places_share_four_jobs(isolated_stack: OwnStack) -> None:
    connector = "simulation:services=share"
    workers = await isolated_stack.workers(4, "shares", concurrency=4, connector=connector)
    await all_wait(isolated_stack, "share", len(workers))
    job_ids = await submit(isolated_stack, *(job("share", script(10, wait(500))) for _ in range(4)))
    async with isolated_stack.modern() as client:
        stories = await asyncio.gather(*map(client.follow_to_end, job_ids))
    assert sorted(claimed_by(events)[0] for events in stories) == sorted(worker.name for worker in workers)


@pytest.mark.fast
async def test_each_job_is_run_by_a_worker_that_can_do_it(matching: OwnStack) -> None:
    small = await able(matching, "small", hardware={"gpu_memory_gb": 8}, models=["sdxl"], region="eu")
    large = await able(matching, "large", hardware={"gpu_memory_gb": 80}, models="all", region="us")
    wanted: list[tuple[dict[str, Any], set[str]]] = [
        ({"hardware": {"gpu_memory_gb": 24}}, {large}),
        ({"models": ["flux"]}, {large}),
        ({"region": "eu"}, {small}),
        ({"exclude": {"region": "us"}}, {small}),
        ({"exclude": {"workers": [small]}}, {large}),
        ({"models": ["sdxl"]}, {small, large}),
    ]
    job_ids = await submit(matching, *(job("draw", requirements=asks) for asks, _ in wanted for _ in range(4)))
    async with matching.modern() as client:
        stories = await asyncio.gather(*map(client.follow_to_end, job_ids))
    ran = [claimed_by(events)[0] for events in stories]
    assert [name in wanted[number // 4][1] for number, name in enumerate(ran)] == [True] * len(ran)


async def test_a_denied_customer_is_served_by_nobody_that_denies_it(matching: OwnStack) -> None:
    await able(matching, "denies", customers={"deny": ["acme"]})
    denied, other = await submit(matching, job("draw", customer_id="acme"), job("draw", customer_id="other"))
    async with matching.modern() as client, matching.http() as http:
        assert kinds(await client.follow_to_end(other))[-1] == "completed"
        assert (await client.job(denied))["status"] == "pending"
        explained = (await http.get(f"/api/jobs/{denied}/explain")).json()
        assert [one["reason"] for one in explained["unable"]] == ["it takes no job of the customer 'acme'"]
        serves = await able(matching, "serves")
        assert claimed_by(await client.follow_to_end(denied)) == [serves]


async def test_jobs_that_nobody_can_do_hide_no_other(matching: OwnStack) -> None:
    await able(matching, "draws", models=["sdxl"])
    ahead = [job("draw", requirements={"models": [f"none-{number}"]}, priority=9) for number in range(150)]
    *_, behind = await submit(matching, *ahead, job("draw", requirements={"models": ["sdxl"]}))
    async with matching.modern() as client:
        assert kinds(await client.follow_to_end(behind))[-1] == "completed"


@pytest.mark.fast
async def test_a_jobs_own_retry_policy_holds(isolated_stack: OwnStack) -> None:
    await isolated_stack.workers(2, "draws", connector="simulation:services=draw")
    quick = {"backoff_base_ms": 20, "backoff_factor": 1}
    policies: list[dict[str, Any]] = [
        {"attempts": 3, **quick},
        {"attempts": 9, "retry_on": ["*time*"], **quick},
        {"attempts": 1, "timeout_ms": 300},
    ]
    scripts = [script(fail("no memory")), script(fail("no memory")), script(10, wait(60_000))]
    jobs = (job("draw", does, retry_policy=policy) for does, policy in zip(scripts, policies, strict=True))
    again, never, slow = await submit(isolated_stack, *jobs)
    async with isolated_stack.modern() as client:
        stories = [kinds(await client.follow_to_end(job_id)) for job_id in (again, never, slow)]
        assert (await client.job(slow))["error"] == "timed out after 0.3 s"
    assert [story.count("claimed") for story in stories] == [3, 1, 1]
    assert {story[-1] for story in stories} == {"failed"}
