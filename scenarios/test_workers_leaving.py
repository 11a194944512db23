"""Phase 2A, 4: workers leave, in order and without a word, and no job is lost, failed for it or taken without cause."""

from __future__ import annotations

import asyncio
import signal

import pytest

from harness.testing import fresh
from scenarios.received_facts import claimed_by, kinds, reached, story, until_claimed_by
from scenarios.stacks import LEASE_MS, OwnStack, Payload, script, wait

pytestmark = pytest.mark.criterion("mixed-clients")

SLACK_MS = 2_000
"""What a lost worker's job may wait beyond its lease."""


async def submit_without_retries(isolated_stack: OwnStack, payload: Payload) -> str:
    """A job that a single counted failure would end."""
    async with isolated_stack.modern() as client:
        return await client.submit(payload, job_id=fresh("job"), max_retries=0)


@pytest.mark.fast
async def test_a_worker_that_is_told_to_stop_hands_its_job_back_uncounted(isolated_stack: OwnStack) -> None:
    leaving = await isolated_stack.worker("leaving", worker_shutdown_grace_ms=100)
    job_id = await submit_without_retries(isolated_stack, script(10, wait(1_000), result="done by the next one"))
    async with isolated_stack.modern() as client:
        await reached(client, job_id)
        following = asyncio.create_task(client.follow_to_end(job_id))
        assert await asyncio.to_thread(leaving.stop) == 0
        await isolated_stack.worker("staying")
        events = await following
        assert story(events) == "submitted claimed progress released claimed progress completed"
        assert events[-1].data["result"] == "done by the next one"
        stored = await client.job(job_id)
        assert (stored["failures"], stored["error"]) == (None, None)


async def test_a_worker_that_is_told_to_stop_finishes_what_it_can(isolated_stack: OwnStack) -> None:
    leaving = await isolated_stack.worker("leaving", worker_shutdown_grace_ms=10_000)
    job_id = await submit_without_retries(isolated_stack, script(10, wait(600), 90, result="finished"))
    async with isolated_stack.modern() as client:
        await reached(client, job_id)
        waiting = await client.submit(script(50))
        assert await asyncio.to_thread(leaving.stop) == 0
        assert story(await client.follow_to_end(job_id)) == "submitted claimed progress progress completed"
        assert (await client.job(waiting))["status"] == "pending", "it took no more"
        await isolated_stack.worker("staying")
        assert kinds(await client.follow_to_end(waiting))[-1] == "completed"


@pytest.mark.fast
async def test_a_killed_workers_job_runs_again(isolated_stack: OwnStack) -> None:
    doomed = await isolated_stack.worker("doomed")
    job_id = await submit_without_retries(isolated_stack, script(10, wait(2_000), result="at last"))
    async with isolated_stack.legacy() as old, isolated_stack.modern() as client:
        await old.subscribe(job_id)
        await reached(client, job_id)
        doomed.kill()
        (staying,) = await isolated_stack.workers(1, "staying")
        events = await client.follow_to_end(job_id)
        assert story(events) == "submitted claimed progress lease_expired claimed progress completed"
        assert claimed_by(events) == [doomed.name, staying.name]
        assert events[4].data["at"] - events[2].data["at"] <= LEASE_MS + SLACK_MS
        assert (await old.expect("complete_job", job_id=job_id))["result"] == "at last"
        assert (await client.job(job_id))["failures"] is None, "that its worker was lost is not the job's failure"


async def test_a_killed_worker_loses_none_of_many_jobs(isolated_stack: OwnStack) -> None:
    doomed, *_ = await isolated_stack.workers(3)
    async with isolated_stack.modern() as client:
        jobs = [await client.submit(script(10, wait(100), result=number)) for number in range(20)]
        await reached(client, jobs[0])
        doomed.kill()
        for number, job_id in enumerate(jobs):
            events = await client.follow_to_end(job_id)
            assert (kinds(events)[-1], events[-1].data["result"]) == ("completed", number)
            assert kinds(events).count("completed") == 1


async def test_a_job_longer_than_a_lease_is_not_taken_away(isolated_stack: OwnStack) -> None:
    await isolated_stack.workers(2)
    job_id = await submit_without_retries(isolated_stack, script(10, wait(2.2 * LEASE_MS), result="took its time"))
    async with isolated_stack.modern() as client:
        events = await client.follow_to_end(job_id)
        assert story(events) == "submitted claimed progress completed"


async def test_a_worker_that_was_frozen_cannot_end_a_job_that_another_has(isolated_stack: OwnStack) -> None:
    frozen = await isolated_stack.worker("frozen")
    job_id = await submit_without_retries(isolated_stack, script(10, wait(300), result="ended once"))
    async with isolated_stack.modern() as client:
        await reached(client, job_id)
        frozen.signal(signal.SIGSTOP)
        await isolated_stack.worker("awake")
        events = await client.follow_to_end(job_id)
        frozen.signal(signal.SIGCONT)
        after = await client.submit(script(wait(50), result="after"))
        await client.follow_to_end(after)
        assert story(events) == "submitted claimed progress lease_expired claimed progress completed"
        assert [told.id for told in await client.follow_to_end(job_id)] == [told.id for told in events]


async def test_nothing_is_taken_of_a_worker_that_wakes_while_another_runs_its_job(isolated_stack: OwnStack) -> None:
    frozen = await isolated_stack.worker("frozen")
    job_id = await submit_without_retries(isolated_stack, script(10, wait(1_500), 90))
    async with isolated_stack.modern() as client:
        await reached(client, job_id)
        frozen.signal(signal.SIGSTOP)
        awake = await isolated_stack.worker("awake")
        await until_claimed_by(client, job_id, awake.name)
        frozen.signal(signal.SIGCONT)  # its own wait is over: it reports and ends at once
        events = await client.follow_to_end(job_id)
    again = [event.kind for event in events].index("lease_expired") + 1
    assert story(events[again:]) == "claimed progress progress completed"
    assert {event.data["worker_id"] for event in events[again:]} == {awake.name}
