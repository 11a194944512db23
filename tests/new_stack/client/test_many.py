"""Several jobs at once, typed results, and what a program is told of a job that failed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.client import BlockingClient, HybridClient, JobEvent, JobFailed, RequestRefused, Wanted
from new_stack.queue import Completed, Failed, Queue
from tests.new_stack.client.conftest import StartApi


@dataclass
class Image:
    name: str
    width: int = 64


async def work(queue: Queue, count: int, *, fail: str = "") -> None:
    """Run so many jobs; the one of that id fails for good."""
    for _ in range(count):
        [lease] = await until(lambda: queue.claim("w1"), within=15)
        if lease.job_id == fail:
            await queue.end(Failed(lease=lease, error="no such model", retryable=False))
        else:
            result = msgspec.json.encode({"name": lease.job_id})
            await queue.end(Completed(lease=lease, result=msgspec.Raw(result)))


def readers() -> list[str]:
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if "follow_many" in name]


def orders(*names: str) -> list[Wanted]:
    return [{"service": "simulation", "job_id": name, "payload": {"n": 1}} for name in names]


async def test_results_are_typed_and_in_the_order_asked_for(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base, timeout=30) as client:
        accepted = await client.submit_many(orders("c", "a", "b"))
        assert [job.job_id for job in accepted] == ["c", "a", "b"]
        working = asyncio.create_task(work(api.queue, 3))
        assert await client.gather("b", "a") == [{"name": "b"}, {"name": "a"}]
        assert await client.result("c", Image) == Image("c")
        await working


async def test_the_first_failure_is_raised_with_its_error_and_attempts(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base) as client:
        await client.submit_many(orders("a", "b"))
        working = asyncio.create_task(work(api.queue, 2, fail="b"))
        with pytest.raises(JobFailed, match="job b: no such model") as caught:
            await client.gather("a", "b")
        assert (caught.value.job_id, caught.value.error, caught.value.attempts) == ("b", "no such model", 1)
        await working


async def test_one_that_is_refused_is_raised_as_if_it_were_alone(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base) as client:
        with pytest.raises(RequestRefused) as caught:
            await client.submit_many([*orders("a"), {"service": "simulation", "job_id": "b/c"}])
        assert caught.value.fields[0]["field"] == "id"


async def test_a_result_of_another_type_is_named(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base) as client:
        await client.submit_many(orders("a"))
        await work(api.queue, 1)
        with pytest.raises(msgspec.ValidationError, match="Expected `int`"):
            await client.result("a", int)


async def test_several_jobs_are_followed_to_their_ends(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base) as client:
        await client.submit_many(orders("a", "b"))
        working = asyncio.create_task(work(api.queue, 2))
        seen = [event async for event in client.follow_many("a", "b") if isinstance(event, JobEvent)]
        for name in ("a", "b"):
            assert [event.kind.value for event in seen if event.job_id == name] == ["submitted", "claimed", "completed"]
        await working


async def test_who_stops_following_leaves_nothing_behind(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base) as client:
        await client.submit_many(orders("a", "b"))
        following = client.follow_many("a", "b")
        await anext(following)
        assert readers()
        await following.aclose()
        assert not readers()


async def test_an_unknown_job_is_told_while_others_are_followed(start_api: StartApi) -> None:
    api = await start_api()
    async with HybridClient(api.base) as client:
        await client.submit_many(orders("a"))
        with pytest.raises(RequestRefused, match="nobody"):
            async for _ in client.follow_many("a", "nobody"):
                pass


async def test_the_blocking_twin_does_the_same(start_api: StartApi) -> None:
    api = await start_api()
    working = asyncio.create_task(work(api.queue, 2))

    def program() -> tuple[list[dict[str, str]], Image]:
        with BlockingClient(api.base, timeout=30) as client:
            client.submit_many(orders("a", "b"))
            return client.gather("a", "b"), client.result("a", Image)

    assert await asyncio.to_thread(program) == ([{"name": "a"}, {"name": "b"}], Image("a"))
    await working
