"""Clients of the later dialect are told the end of every job that they follow, however it comes about."""

from __future__ import annotations

from typing import Any, Final

import pytest

from harness.clients import LegacyClient
from harness.protocols.hub import Frame
from harness.testing import fresh
from scenarios.received_facts import reached
from scenarios.stacks import OwnStack, Payload, fail, script, wait

pytestmark = [pytest.mark.criterion("later-clients"), pytest.mark.fast]

ENDS: Final = frozenset({"completed", "failed"})


async def submit(client: LegacyClient, payload: Payload, **more: Any) -> str:
    """A job inside `data`, with the message's number as its `id`; it does not subscribe by itself."""
    number, place = len(client.received) + 1, len(client.received)
    job = {"id": fresh("job"), "service_required": "simulation", "payload": payload, **more}
    await client.send({"type": "submit_job", "id": number, "data": job})
    answer = await client.expect("job_submitted", message_id=number, after=place)
    return str(answer["job_id"])


async def follow(client: LegacyClient, job_id: str) -> None:
    """Subscribe to a job."""
    place = len(client.received)
    await client.send({"type": "subscribe_progress", "id": 7, "job_id": job_id})
    await client.expect("subscribed", job_id=job_id, after=place)


async def end_of(client: LegacyClient, job_id: str, *, after: int = 0) -> dict[str, Any]:
    """The data of the `progress` that ends it."""

    def ends(frame: Frame) -> bool:
        data = frame.get("data") or {}
        return frame.get("job_id") == job_id and frame.get("type") == "progress" and data.get("status") in ENDS

    found = await client.wait_for(ends, f"the end of {job_id}", after=after)
    assert isinstance(found["timestamp"], str), "its times are text"
    data: dict[str, Any] = found["data"]
    return data


@pytest.mark.parametrize(
    ("payload", "status", "told"),
    [
        (script(25, 75, result={"picture": 1}), "completed", {"progress": "100"}),
        (script(25, fail("out of memory")), "failed", {"error": "out of memory"}),
    ],
    ids=["completed", "failed"],
)
async def test_who_follows_a_job_is_told_its_steps_and_its_end(
    isolated_stack: OwnStack, payload: Payload, status: str, told: dict[str, str]
) -> None:
    async with isolated_stack.legacy() as client, isolated_stack.legacy() as other:
        job_id = await submit(client, payload, max_retries=0)
        await follow(client, job_id)
        await follow(other, job_id)
        await isolated_stack.worker()
        for one in (client, other):
            data = await end_of(one, job_id)
            assert data["status"] == status
            assert told.items() <= data.items()
            steps = [frame["data"]["progress"] for frame in one.messages("progress", job_id=job_id)]
            assert "25" in steps
            ends = [frame for frame in one.messages("progress", job_id=job_id) if frame["data"]["status"] in ENDS]
            assert len(ends) == 1


async def test_who_asks_is_told_how_it_ended(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as client, isolated_stack.modern() as modern:
        job_id = await submit(client, script(50, result="there"))
        await modern.follow_to_end(job_id)
        await client.send({"type": "get_job_status", "id": 9, "job_id": job_id})
        answer = await client.expect("job_status", job_id=job_id)
        assert (answer["job"]["id"], answer["job"]["status"]) == (job_id, "completed")


async def test_who_comes_after_the_end_is_told_it_at_once(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.modern() as modern, isolated_stack.legacy() as client:
        job_id = await modern.submit(script(50))
        await modern.follow_to_end(job_id)
        await follow(client, job_id)
        assert (await end_of(client, job_id))["status"] == "completed"


async def test_who_was_cut_off_in_the_middle_is_told_on_the_next_connection(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as client, isolated_stack.modern() as modern:
        job_id = await submit(client, script(10, wait(1_000), 90))
        await follow(client, job_id)
        await reached(modern, job_id)
        await client.drop()
        await client.open()
        place = len(client.received)
        await follow(client, job_id)
        assert (await end_of(client, job_id, after=place))["status"] == "completed"


async def test_who_follows_a_job_that_is_cancelled_is_told_so(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as client, isolated_stack.modern() as modern:
        job_id = await submit(client, script(10, wait(60_000)))
        await follow(client, job_id)
        await reached(modern, job_id)
        await modern.cancel(job_id, "not needed")
        data = await end_of(client, job_id)
        assert data["status"] == "failed", "it knows two ends, and takes no other word for one"
        assert data["message"] == "Job cancelled: not needed"


async def test_after_a_retry_by_hand_the_second_end_is_told_too(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as client, isolated_stack.modern() as modern:
        job_id = await submit(client, script(50, fail("again")), max_retries=0)
        await follow(client, job_id)
        assert (await end_of(client, job_id))["status"] == "failed"
        place = len(client.received)
        await modern.retry(job_id)
        assert (await end_of(client, job_id, after=place))["error"] == "again"


async def test_who_unsubscribes_is_told_no_more(isolated_stack: OwnStack) -> None:
    async with isolated_stack.legacy() as client:
        job_id = await submit(client, script(50))
        await follow(client, job_id)
        await client.send({"type": "unsubscribe_progress", "id": 8, "job_id": job_id})
        await client.expect("unsubscribed", job_id=job_id)
        await isolated_stack.worker()
        other = await submit(client, script(60))
        await follow(client, other)
        await end_of(client, other)
        assert client.messages("progress", job_id=job_id) == []
