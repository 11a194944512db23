"""A legacy client is served as the hub served it, and better where the hub's faults are listed."""

from __future__ import annotations

import pytest

from new_stack.queue import Failed, Queue

from .conftest import Api, StartApi, Work


async def test_a_job_from_submit_to_completion_in_the_hubs_words(api: Api, work: Work) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", priority=0, payload={"prompt": "a cat"})
    accepted = await client.receive()
    job_id = accepted["job_id"]
    assert accepted | {"timestamp": 0} == {
        "type": "job_accepted",
        "timestamp": 0,
        "job_id": job_id,
        "status": "pending",
        "position": 1,
        "estimated_start": None,
        "notified_workers": 0,
    }
    assert job_id.startswith("job-")

    await work.whole_job(10, 50)
    claimed, first, second, done = [await client.receive() for _ in range(4)]
    assert claimed | {"timestamp": 0} == {
        "type": "response_job_status",
        "timestamp": 0,
        "job_id": job_id,
        "status": "processing",
        "progress": None,
        "worker_id": "worker-a",
        "started_at": None,
        "completed_at": None,
        "result": None,
        "message": None,
    }
    assert first | {"timestamp": 0} == {
        "type": "update_job_progress",
        "timestamp": 0,
        "job_id": job_id,
        "worker_id": "worker-a",
        "progress": 10,
        "status": "processing",
        "message": "step 10",
        "connector_details": None,
    }
    assert second["progress"] == 50
    assert done | {"timestamp": 0} == {
        "type": "complete_job",
        "timestamp": 0,
        "job_id": job_id,
        "worker_id": "worker-a",
        "result": {"status": "success"},
    }


async def test_positions_count_by_priority_then_age(api: Api) -> None:
    client = await api.client()
    positions = []
    for priority in (0, 5, 0):
        await client.send(type="submit_job", job_type="simulation", priority=priority, payload={})
        positions.append((await client.receive())["position"])
    assert positions == [1, 1, 3]


async def test_the_status_follows_the_job(api: Api, work: Work) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="order-1")
    assert (await client.receive())["job_id"] == "order-1"
    await client.send(type="request_job_status", job_id="order-1")
    assert (await client.receive())["status"] == "pending"
    lease = await work.claim()
    assert (await client.receive())["status"] == "processing"
    await work.progress(lease, 30)
    assert (await client.receive())["progress"] == 30
    await client.send(type="request_job_status", job_id="order-1")
    asked = await client.receive()
    assert (asked["status"], asked["progress"], asked["message"]) == ("claimed", 30, "step 30")
    await work.complete(lease)
    assert (await client.receive())["type"] == "complete_job"
    await client.send(type="request_job_status", job_id="order-1")
    asked = await client.receive()
    assert (asked["status"], asked["result"], asked["started_at"]) == ("completed", {"status": "success"}, None)
    assert isinstance(asked["completed_at"], float)


async def test_cancelling_is_told_to_the_asker_and_to_the_subscriber(api: Api) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="j")
    await client.receive()
    await client.send(type="cancel_job", job_id="j", reason="changed my mind")
    for _ in range(2):
        told = await client.receive()
        assert (told["status"], told["message"]) == ("cancelled", "Job cancelled: changed my mind")
    await client.send(type="cancel_job", job_id="j")
    for _ in range(2):
        assert (await client.receive())["message"] == "Job cancelled: changed my mind"
    assert await client.silent()


async def test_a_running_job_ends_at_once_when_it_is_cancelled(api: Api, work: Work) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="j")
    await client.receive()
    await work.claim()
    await client.receive()
    await client.send(type="cancel_job", job_id="j")
    assert [(await client.receive())["status"] for _ in range(2)] == ["cancelled", "cancelled"]
    await client.send(type="request_job_status", job_id="j")
    assert (await client.receive())["status"] == "cancelled"


async def test_every_failed_attempt_is_told(api: Api, work: Work) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="j")
    await client.receive()
    lease = await work.claim()
    await client.receive()
    await work.queue.end(Failed(lease=lease, error="CUDA out of memory"))
    failed = await client.receive()
    assert (failed["type"], failed["error"], failed["worker_id"]) == ("fail_job", "CUDA out of memory", "worker-a")


async def test_a_client_that_reconnects_hears_of_its_jobs_again(api: Api, work: Work) -> None:
    first = await api.client()
    await first.send(type="submit_job", job_type="simulation", payload={}, message_id="j")
    await first.receive()
    await first.raw.close()
    again = await api.client()
    await work.whole_job(50)
    assert await again.receive_types(3) == ["response_job_status", "update_job_progress", "complete_job"]


async def test_a_second_subscriber_hears_of_the_job_and_the_first_still_does(api: Api, work: Work) -> None:
    first, second = await api.client("a"), await api.client("b")
    await first.send(type="submit_job", job_type="simulation", payload={}, message_id="j")
    await first.receive()
    await second.send(type="subscribe_job", job_id="j")
    confirmed = await second.receive()
    assert (confirmed["type"], confirmed["monitor_id"], confirmed["channels"]) == ("subscription_confirmed", None, None)
    await work.whole_job(50)
    for client in (first, second):
        assert await client.receive_types(3) == ["response_job_status", "update_job_progress", "complete_job"]
        assert await client.silent(0.1)


async def test_who_follows_more_jobs_than_one_connection_may_hears_no_more_of_the_one_asked_for_longest_ago(
    start_api: StartApi, work: Work
) -> None:
    api = await start_api(subscriptions_per_connection=2)
    client = await api.client()
    for job_id in ("a", "b", "c"):
        await api.submit(id=job_id)
    for job_id in ("a", "b", "a", "c"):
        await client.send(type="subscribe_job", job_id=job_id)
        await client.until("subscription_confirmed")
    for _ in range(3):
        await work.claim()
    assert [(await client.receive())["job_id"] for _ in range(2)] == ["a", "c"]
    assert await client.silent()


async def test_one_who_subscribes_after_the_end_is_told_the_end_once(api: Api, work: Work) -> None:
    job_id = await api.submit()
    await work.whole_job()
    client = await api.client()
    await client.send(type="subscribe_job", job_id=job_id)
    assert await client.receive_types(2) == ["subscription_confirmed", "complete_job"]
    assert await client.silent()


async def test_a_repeated_submission_is_answered_with_the_same_job(api: Api, queue: Queue) -> None:
    client = await api.client()
    for _ in range(2):
        await client.send(type="submit_job", job_type="simulation", payload={"a": 1}, message_id="order-1729")
        accepted = await client.receive()
        assert (accepted["job_id"], accepted["position"]) == ("order-1729", 1)
    await client.send(type="submit_job", job_type="simulation", payload={"a": 2}, message_id="order-1729")
    assert "other content" in (await client.receive())["error"]
    assert (await queue.counts()).pending == 1


@pytest.mark.parametrize(
    ("sent", "kept"), [({"max_retries": 0}, 0), ({"max_retries": 7}, 7), ({"max_retries": None}, 3), ({}, 3)]
)
async def test_retries_are_as_many_as_the_client_says(
    api: Api, queue: Queue, sent: dict[str, int | None], kept: int
) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="j", **sent)
    assert (await client.receive())["job_id"] == "j"
    job = await queue.job("j")
    assert job is not None
    assert job.max_retries == kept


@pytest.mark.parametrize("retries", [-1, 1_001, "3", 1.5, True])
async def test_retries_that_cannot_be_are_refused_by_name(api: Api, queue: Queue, retries: object) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="j", max_retries=retries)
    assert "max_retries must be a whole number" in (await client.receive())["error"]
    assert await queue.job("j") is None


async def test_force_retry_says_what_it_did(api: Api, work: Work) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="j")
    await client.receive()
    await client.send(type="force_retry_job", job_id="j")
    assert (await client.receive())["message"] == "Job has no failure history to clear."
    lease = await work.claim()
    await work.queue.end(Failed(lease=lease, error="broken", retryable=False))
    assert await client.receive_types(2) == ["response_job_status", "fail_job"]
    await client.send(type="force_retry_job", job_id="j")
    for _ in range(2):
        told = await client.receive()
        assert told["status"] == "pending"
        assert told["message"] == "Job failure history cleared. Job can now be assigned to any worker."


async def test_a_binary_frame_is_answered_with_an_error(api: Api) -> None:
    client = await api.client()
    await client.raw.send_bytes(b'{"type": "stay_alive"}')
    assert (await client.receive())["type"] == "error"
    await client.send(type="stay_alive")
    alive = await client.receive()
    assert (alive["job_id"], alive["status"], alive["message"]) == (
        "keep-alive",
        "acknowledged",
        "Connection is alive",
    )


async def test_a_job_submitted_on_one_instance_is_followed_on_another(start_api: StartApi, work: Work) -> None:
    here, there = await start_api(), await start_api()
    job_id = await here.submit(client_id="client-a")
    client = await there.client("client-a")
    await work.whole_job(50)
    assert [event.event for event in await there.whole(f"/api/jobs/{job_id}/progress")] == [
        "submitted",
        "claimed",
        "progress",
        "completed",
    ]
    assert await client.receive_types(3) == ["response_job_status", "update_job_progress", "complete_job"]


async def test_a_large_result_comes_whole(api: Api, work: Work) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={"blob": "ab" * 1_250_000})
    job_id = (await client.receive())["job_id"]
    lease = await work.claim()
    await work.complete(lease, {"blob": "cd" * 1_250_000})
    await client.receive()
    assert (await client.receive())["result"] == {"blob": "cd" * 1_250_000}
    events = await api.whole(f"/api/jobs/{job_id}/progress")
    assert events[-1].data["result"] == {"blob": "cd" * 1_250_000}


async def test_an_answer_never_overtakes_the_events_before_it(api: Api, work: Work) -> None:
    client = await api.client()
    for number in range(30):
        await client.send(type="submit_job", job_type="simulation", payload={}, message_id=f"j{number}")
        await client.receive()
        await work.whole_job(50)
        await client.send(type="request_job_status", job_id=f"j{number}")
        told = [await client.receive() for _ in range(4)]
        assert [message["type"] for message in told] == [
            "response_job_status",
            "update_job_progress",
            "complete_job",
            "response_job_status",
        ]
        assert told[-1]["status"] == "completed"


async def test_answers_come_in_the_order_of_the_questions(api: Api) -> None:
    client = await api.client()
    await client.send(type="submit_job", job_type="simulation", payload={}, message_id="j")
    await client.receive()
    for _ in range(50):
        await client.send(type="request_job_status", job_id="j")
        await client.send(type="stay_alive")
    assert [(await client.receive())["job_id"] for _ in range(100)] == ["j", "keep-alive"] * 50


async def test_who_subscribes_to_its_own_job_as_it_ends_loses_none_of_its_events(api: Api, work: Work) -> None:
    """The ending that a late-comer is told must not overtake what is still on its way to one who heard all along."""
    client = await api.client()
    for number in range(20):
        job_id = f"own-{number}"
        await client.send(type="submit_job", job_type="simulation", payload={}, message_id=job_id)
        assert (await client.receive())["type"] == "job_accepted"
        await work.whole_job(*range(10, 100, 10))
        await client.send(type="subscribe_job", job_id=job_id)
        types = await client.receive_types(12)
        types.remove("subscription_confirmed")
        assert types == ["response_job_status", *["update_job_progress"] * 9, "complete_job"]
    assert await client.silent()
