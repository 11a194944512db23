"""Phase 2A, 5: both kinds of client are told every step of a job, once, in the same order, the last before the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.parity.facts import Fact
from harness.testing import Server
from scenarios.received_facts import facts_by_events, facts_by_websocket, kinds, progress_of, reached
from scenarios.stacks import OwnStack, Payload, fail, script, wait

pytestmark = pytest.mark.criterion("modern-clients")

MANY = 60


async def both_views(isolated_stack: OwnStack, payload: Payload) -> tuple[list[Fact], list[Fact]]:
    """What an old and a new client are told of the same job, from its submission to its end."""
    async with isolated_stack.legacy() as old, isolated_stack.modern() as new:
        job_id = await old.submit(payload)
        following = asyncio.create_task(new.follow_to_end(job_id))
        await isolated_stack.worker()
        events = await following
        last = len(facts_by_events(events))
        await old.wait_for(
            lambda _: len(facts_by_websocket(old.received, job_id)) >= last, f"as many facts as by events, {last}"
        )
        return facts_by_websocket(old.received, job_id), facts_by_events(events)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(script(10, 20, 99.5, 100, result={"n": 1}), id="completed"),
        pytest.param(script(10, fail("first", attempts=1), 60, result="ok"), id="failed and completed"),
        pytest.param(script(10, fail("always")), id="failed for good"),
        pytest.param(script({"progress": 1, "message": "näher 🐳"}, {"progress": 2, "stamp": True}), id="with words"),
        pytest.param({}, id="without a script"),
    ],
)
async def test_both_kinds_are_told_equal_facts_in_equal_order(isolated_stack: OwnStack, payload: Payload) -> None:
    by_websocket, by_events = await both_views(isolated_stack, payload)
    assert by_websocket == by_events
    assert by_events[0]["type"] == "claimed"
    assert by_events[-1]["type"] in {"completed", "attempt_failed"}


async def test_every_step_is_told_once_and_the_last_one_before_the_end(isolated_stack: OwnStack) -> None:
    percents = [n * 100 / MANY for n in range(MANY + 1)]
    views = await both_views(isolated_stack, script(*percents, result="done"))
    for facts in views:
        assert progress_of(facts) == percents
        assert [fact["type"] for fact in facts] == ["claimed", *["progress"] * len(percents), "completed"]


async def test_equal_steps_are_each_told(stack: Server) -> None:
    async with stack.legacy() as old, stack.modern() as new:
        job_id = await old.submit(script(50, 50, 50, result="done"))
        events = await new.follow_to_end(job_id)
        await old.expect("complete_job", job_id=job_id)
        assert (
            progress_of(facts_by_events(events))
            == progress_of(facts_by_websocket(old.received, job_id))
            == [50, 50, 50]
        )


async def test_steps_that_come_all_at_once_for_many_jobs_reach_their_own_followers(isolated_stack: OwnStack) -> None:
    percents = {number: [number + n / MANY for n in range(MANY)] for number in range(10)}
    async with isolated_stack.legacy() as old, isolated_stack.modern() as new:
        jobs = [await old.submit(script(*steps, result=number)) for number, steps in percents.items()]
        following = [asyncio.create_task(new.follow_to_end(job_id)) for job_id in jobs]
        await isolated_stack.worker(concurrency=len(jobs))
        for job_id, task, steps in zip(jobs, following, percents.values(), strict=True):
            assert progress_of(facts_by_events(await task)) == steps
            await old.expect("complete_job", job_id=job_id)
            assert progress_of(facts_by_websocket(old.received, job_id)) == steps


async def test_two_subscribers_of_each_kind_are_told_the_same(isolated_stack: OwnStack) -> None:
    async with isolated_stack.legacy() as old, isolated_stack.legacy() as other, isolated_stack.modern() as new:
        job_id = await old.submit(script(*range(0, 100, 5), result="done"))
        await other.subscribe(job_id)
        following = [asyncio.create_task(new.follow_to_end(job_id)) for _ in range(2)]
        await isolated_stack.worker()
        by_events: list[Any] = [facts_by_events(await task) for task in following]
        for client in (old, other):
            await client.expect("complete_job", job_id=job_id)
        assert (
            by_events[0]
            == by_events[1]
            == facts_by_websocket(old.received, job_id)
            == facts_by_websocket(other.received, job_id)
        )


async def test_progress_comes_while_the_job_runs_and_not_at_its_end(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as old, isolated_stack.modern() as new:
        job_id = await new.submit(script(50, wait(60_000)))
        await old.subscribe(job_id)
        await reached(new, job_id)
        stored = await new.job(job_id)
        assert (stored["status"], stored["progress"]) == ("claimed", 50)
        assert (await old.status(job_id))["progress"] == 50
        await new.cancel(job_id)
        assert kinds(await new.follow_to_end(job_id))[-1] == "cancelled"
