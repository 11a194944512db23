"""Phase 2A, 3: a job that one kind of client submitted is followed, cancelled and asked for by the other, at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from harness.clients import LegacyClient, ModernClient
from harness.testing import Server
from scenarios.received_facts import facts_by_events, facts_by_websocket, kinds, progress_of, reached, story
from scenarios.stacks import OwnStack, Payload, fail, script, wait

pytestmark = [pytest.mark.criterion("mixed-clients"), pytest.mark.fast]

FREE_AGAIN_S = 5.0
ERROR = "worker lost its GPU: error 79"
Client = LegacyClient | ModernClient

either_kind = pytest.mark.parametrize("kind", ["old", "new"])
"""Who submits the job; the other kind does the rest."""


@pytest.fixture
def payload() -> Payload:
    """A payload with what a client might put in it beside the worker's script."""
    parameters = {
        "prompt": "ein Wal, 鯨, 🐋",
        "size": [512, 768],
        "cfg": 7.5,
        "seed": 2**53 - 1,
        "mask": None,
        "x": True,
    }
    return script(15, {"progress": 85.5, "message": "almost"}, result={"image": "whale.png"}) | {"inputs": parameters}


@either_kind
async def test_either_kinds_job_is_followed_by_both_and_both_hear_the_same(
    isolated_stack: OwnStack, kind: str, payload: Payload
) -> None:
    async with isolated_stack.legacy() as old, isolated_stack.modern() as new:
        job_id = await (old if kind == "old" else new).submit(payload)
        await old.subscribe(job_id)
        following = asyncio.create_task(new.follow_to_end(job_id))
        await isolated_stack.worker()
        await old.expect("complete_job", job_id=job_id)
        facts = facts_by_websocket(old.received, job_id)
        assert [fact["type"] for fact in facts] == ["claimed", "progress", "progress", "completed"]
        assert progress_of(facts) == [15, 85.5]
        assert facts_by_events(await following) == facts


@either_kind
async def test_either_kinds_job_is_shown_alike_to_both(stack: Server, kind: str, payload: Payload) -> None:
    async with stack.legacy() as old, stack.modern() as new:
        job_id = await (old if kind == "old" else new).submit(payload, priority=2)
        await new.follow_to_end(job_id)
        asked, stored = await old.status(job_id), await new.job(job_id)
        assert (asked["status"], asked["result"]) == ("completed", {"image": "whale.png"})
        assert (stored["status"], stored["result"]) == ("completed", {"image": "whale.png"})
        assert asked["worker_id"] == stored["worker_id"]
        assert stored["payload"] == payload
        assert (stored["job_type"], stored["service_required"]) == (stack.service, stack.service)
        assert stored["priority"] == 2


@either_kind
async def test_either_kinds_running_job_is_cancelled_by_the_other(isolated_stack: OwnStack, kind: str) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as old, isolated_stack.modern() as new:
        job_id = await (old if kind == "old" else new).submit(script(5, wait(60_000), 100))
        await old.subscribe(job_id)
        following = asyncio.create_task(new.follow_to_end(job_id))
        await reached(new, job_id)
        await (new if kind == "old" else old).cancel(job_id, "the other one said so")
        ended = await old.ended(job_id)
        assert ended["message"] == "Job cancelled: the other one said so"
        events = await following
        assert (events[-1].kind, events[-1].data["message"]) == ("cancelled", "the other one said so")
        assert (await old.status(job_id))["status"] == (await new.job(job_id))["status"] == "cancelled"
        next_one = await (new if kind == "old" else old).submit(script(100))
        async with asyncio.timeout(FREE_AGAIN_S):
            assert kinds(await new.follow_to_end(next_one))[-1] == "completed"


@either_kind
async def test_either_kinds_waiting_job_is_cancelled_by_the_other(isolated_stack: OwnStack, kind: str) -> None:
    async with isolated_stack.legacy() as old, isolated_stack.modern() as new:
        job_id = await (old if kind == "old" else new).submit({})
        await old.subscribe(job_id)
        await (new if kind == "old" else old).cancel(job_id, "no hurry")
        assert (await old.ended(job_id))["message"] == "Job cancelled: no hurry"
        assert story(await new.follow_to_end(job_id)) == "submitted cancelled"
        await isolated_stack.worker()
        after = await new.submit(script(100))
        await new.follow_to_end(after)
        assert (await new.job(job_id))["attempt"] == 0, "a cancelled job never runs"


@either_kind
async def test_the_text_of_an_error_reaches_both_kinds(stack: Server, kind: str) -> None:
    async with stack.legacy() as old, stack.modern() as new:
        job_id = await (old if kind == "old" else new).submit(script(wait(200), fail(ERROR)))
        await old.subscribe(job_id)
        events = await new.follow_to_end(job_id)
        await old.wait_for(lambda _: len(old.messages("fail_job", job_id=job_id)) == 4, "the last failure")
        assert [message["error"] for message in old.messages("fail_job", job_id=job_id)] == [ERROR] * 4
        assert [told.data["error"] for told in events if "failed" in told.kind] == [ERROR] * 4
        assert (await new.job(job_id))["error"] == ERROR


async def test_a_job_that_one_kind_submitted_again_by_the_other_is_the_same_job(stack: Server) -> None:
    payload = script(50, result="once")
    async with stack.legacy() as old, stack.modern() as new:
        job_id = await new.submit(payload)
        first = await new.follow_to_end(job_id)
        assert await old.submit(payload, job_id=job_id) == job_id
        assert (await old.expect("complete_job", job_id=job_id))["result"] == "once"
        assert [told.id for told in await new.follow_to_end(job_id)] == [told.id for told in first]


async def test_a_monitor_sees_the_jobs_of_both_kinds(stack: Server) -> None:
    async with stack.monitor() as monitor, stack.legacy() as old, stack.modern() as new:
        for job_id in (await old.submit(script(50)), await new.submit(script(50))):
            await monitor.expect("complete_job", job_id=job_id)
            assert [told["progress"] for told in monitor.messages("update_job_progress", job_id=job_id)] == [50]


async def test_many_of_both_kinds_at_once_while_some_reconnect(stack: Server) -> None:
    """Each client's jobs are followed by a client of the other kind; old ones drop off and come back, streams break."""
    async with AsyncExitStack() as opened, asyncio.TaskGroup() as tasks:
        for number in range(6):
            old = await opened.enter_async_context(stack.legacy())
            new = await opened.enter_async_context(stack.modern())
            tasks.create_task(of_the_old(old, new, drops=number % 2 == 0))
            tasks.create_task(of_the_new(new, old, cut_after=1 + number % 3))


STEPS = list(range(10, 100, 10))


def slow_script(result: Any) -> Payload:
    return script(*[step for percent in STEPS for step in (wait(15), percent)], wait(150), result=result)


async def of_the_old(old: LegacyClient, new: ModernClient, *, drops: bool) -> None:
    """An old client's job; what it misses while it is away the new one's stream has."""
    job_id = await old.submit(slow_script(old.name))
    following = asyncio.create_task(new.follow_to_end(job_id))
    if drops:
        await old.expect("update_job_progress", job_id=job_id)
        await old.drop()
        await old.open()
        await old.subscribe(job_id)
    done = await old.expect("complete_job", job_id=job_id)
    facts = facts_by_events(await following)
    assert progress_of(facts) == STEPS
    assert (done["result"], facts[-1]["result"]) == (old.name, old.name)
    heard = facts_by_websocket(old.received, job_id)
    assert [fact for fact in heard if fact in facts] == heard, "an old client is told nothing that did not happen"
    assert len({str(fact) for fact in heard}) == len(heard), "and nothing twice"
    assert drops or heard == facts


async def of_the_new(new: ModernClient, old: LegacyClient, *, cut_after: int) -> None:
    """A new client's job, its stream cut off again and again."""
    job_id = await new.submit(slow_script("new"))
    events = await new.follow_to_end(job_id, cut_after=cut_after)
    assert kinds(events) == ["submitted", "claimed", *["progress"] * len(STEPS), "completed"]
    assert progress_of(facts_by_events(events)) == STEPS
    await old.subscribe(job_id)
    assert (await old.expect("complete_job", job_id=job_id))["result"] == "new"
