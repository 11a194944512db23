"""What must not stop the line: broken records, workers that fail everything, huge and odd input, a moving clock."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import (
    Completed,
    Failed,
    InvalidJob,
    JobState,
    Lease,
    NewJob,
    ProgressUpdate,
    Queue,
    RetryPolicy,
    WorkerReport,
    reader,
)
from new_stack.queue.decoding import leases_of
from new_stack.queue.errors import RedisRefused
from tests.new_stack.queue.conftest import Redis


@pytest.mark.parametrize(
    "damage",
    [
        "text",
        "",
        b"\xc1",
        msgspec.msgpack.encode([1]),
        msgspec.msgpack.encode({"state": "pending", "service_required": "s"}),
        {"attempt": None},
        {"service_required": None},
        {"state": None},
        {"state": "completed"},
        {"deliveries": "many"},
        {"max_retries": "3"},
        {"created_at": "today"},
        {"retry_policy": 5},
        {"retry_policy": {"timeout_ms": "soon"}},
        {"retry_policy": {"retry_on": "text"}},
        {"retry_policy": {"retry_on": [5]}},
        {"deadline_at": "soon"},
        {"not_before": "later"},
        {"failed_by": "w1", "offered_to": [1]},
        {"group": 7},
        {"rank": "first"},
        {"priority": float("nan")},
        {"client_id": ["c"]},
        {"payload": ["{}"]},
        {"extra": 5},
        {"error": {"text": "no"}},
        {"error_type": [1]},
        {"traceback": [1]},
        {"lost_by": ["w"]},
        {"lost_alone": "once"},
        {"said": "much"},
        {"logs": "text"},
        {"state": "claimed"},
        "another type",
        "nothing",
    ],
    ids=str,
)
async def test_a_broken_record_at_the_head_leaves_the_ready_jobs_and_the_next_one_is_claimed(
    queue: Queue, redis: Redis, damage: str | bytes | dict[str, Any]
) -> None:
    await queue.submit(NewJob(id="bad", priority=9))
    await queue.submit(NewJob(id="good"))
    if isinstance(damage, dict):
        await redis.change("bad", **damage)
    elif damage in ("another type", "nothing"):
        await redis.command("DEL", "record:bad")
        await redis.command("RPUSH", "record:bad" if damage == "another type" else "unrelated", "x")
    else:
        await redis.command("SET", "record:bad", damage)
    assert [lease.job_id for lease in await queue.claim("w1")] == ["good"]
    counts = await queue.counts()
    assert (counts.claimed, counts.by_service) == (1, {})


async def test_a_call_that_breaks_off_leaves_each_job_that_it_has_ended_where_ended_ones_are(
    queue: Queue, redis: Redis
) -> None:
    """Its end is gathered for all jobs of the call: it must not be forgotten for another job's broken stream."""
    await queue.submit_many([NewJob(id=job_id) for job_id in "ab"])
    leases = await queue.claim("w1", 2)
    await queue.progress(leases[1], ProgressUpdate(progress=1))
    await redis.command("DEL", "events:b")
    await redis.command("SET", "events:b", "text")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        await queue.end_and_claim("w1", [Completed(lease=lease) for lease in leases], 0)
    job = await queue.job("a")
    assert job is not None
    assert job.state is JobState.COMPLETED
    assert await redis.command("ZRANGE", "ended", 0, -1) == [b"a"]
    assert await redis.command("ZRANGE", "leases", 0, -1) == [b"b"]


async def test_followers_of_a_malformed_job_hear_that_it_failed(queue: Queue, redis: Redis) -> None:
    await queue.submit(NewJob(id="bad"))
    await redis.change("bad", sequence=None)
    assert await queue.claim("w1") == []
    last = (await queue.history("bad"))[-1]
    assert (last.kind, last.error) == ("failed", "its record in Redis is malformed")
    assert await redis.command("SMEMBERS", "malformed") == [b"bad"]


@pytest.mark.usefixtures("reaped_before")
@pytest.mark.parametrize("index", ["leases", "delayed", "deadlines"])
async def test_a_malformed_record_is_set_aside_wherever_its_time_comes(connect, redis: Redis, index: str) -> None:
    """And not only where it would be claimed: a job of which nothing says any more where it is would never end."""
    queue = await connect(retry_backoff_ms=60_000)
    await queue.submit(NewJob(id="bad", retry_policy=RetryPolicy(deadline_ms=600_000)))
    await queue.submit(NewJob(id="good"))
    if index != "deadlines":
        [lease] = await queue.claim("w1")
        await queue.progress(lease, ProgressUpdate(progress=1))
        if index == "delayed":
            await queue.end(Failed(lease=lease, error="no"))
    await redis.change("bad", sequence=None)
    await redis.command("ZADD", index, "XX", 1, "bad")
    await queue.reap()
    job = await queue.job("bad")
    assert job is not None
    assert (job.state, job.error) == (JobState.FAILED, "its record in Redis is malformed")
    assert (await queue.history("bad"))[-1].kind == "failed"
    assert [lease.job_id for lease in await queue.claim("w1", 2)] == ["good"]
    counts = await queue.counts()
    assert (counts.pending, counts.claimed, counts.failed) == (0, 1, 1)


@pytest.mark.parametrize(("field", "value"), [("client_id", 7), ("service_required", 5), ("payload", 3)])
async def test_a_job_of_which_a_field_makes_no_sense_harms_no_other_and_fails_in_the_end(
    connect, redis: Redis, field: str, value: int
) -> None:
    queue = await connect(lease_ms=1, max_deliveries=1)
    await queue.submit(NewJob(id="bad", priority=1))
    await redis.change("bad", **{field: value})
    await queue.submit(NewJob(id="good"))
    assert [lease.job_id for lease in await queue.claim("w1", count=2)] == ["good"]

    async def given_up() -> bool:
        await queue.reap()
        return (await redis.record("bad"))["state"] == "failed"

    await until(given_up)


def test_a_newer_library_may_say_more_of_a_claimed_job() -> None:
    held = ["a", 1, "s", 0, 3, 0, 99, "w1", False, "c", ""]
    row = [msgspec.msgpack.encode(held), b"{}", b""]
    more = [msgspec.msgpack.encode([*held, "new"]), b"{}", b"", b"new"]
    assert leases_of([more]) == leases_of([row]) == [Lease(*held[:-1])]


async def waits(redis: Redis, worker_id: str, for_ms: int = 60_000) -> None:
    """That worker has a free place and waits to be woken."""
    seconds, micros = await redis.caller.connection.call("TIME")
    await redis.command("ZADD", "idle:*", int(seconds) * 1000 + int(micros) // 1000 + for_ms, worker_id)


async def test_a_hundred_jobs_that_i_failed_do_not_hide_the_good_one(connect, redis: Redis) -> None:
    queue = await connect(retry_backoff_ms=0)
    for worker in ("w1", "w2"):
        await queue.heartbeat(WorkerReport(worker_id=worker))
    await queue.submit_many([NewJob(id=f"bad{i:03}", priority=5) for i in range(250)])
    leases = await queue.claim("w1", count=250)
    await queue.end_and_claim("w1", [Failed(lease=lease, error="no") for lease in leases], 0)
    await queue.submit(NewJob(id="good"))
    await waits(redis, "w2")
    assert [lease.job_id for lease in await queue.claim("w1", count=3)] == ["good"]
    assert [lease.job_id for lease in await queue.claim("w2", count=2)] == ["bad000", "bad001"]


async def test_the_only_worker_with_a_free_place_gets_back_what_it_failed(connect, redis: Redis) -> None:
    queue = await connect(retry_backoff_ms=0)
    await queue.heartbeat(WorkerReport(worker_id="w2"))
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    await queue.end(Failed(lease=lease, error="no"))
    await waits(redis, "w2", for_ms=60)
    assert await queue.claim("w1") == []
    async with asyncio.timeout(5):
        while not (again := await queue.claim("w1")):
            await asyncio.sleep(0.01)
    assert again[0].attempt == 2


@pytest.mark.usefixtures("reaped_before")
async def test_a_job_that_kills_its_workers_takes_no_job_beside_it_along(connect, redis: Redis) -> None:
    queue = await connect(max_deliveries=10)
    innocents = ["b", "c", "d"]
    await queue.submit_many([NewJob(id=job_id) for job_id in ("poison", *innocents)])
    while leases := await queue.claim("w1", count=4):
        if "poison" in {lease.job_id for lease in leases}:
            for lease in leases:
                await redis.command("ZADD", "leases", 1, lease.job_id)
            await queue.reap()
        else:
            await queue.end_and_claim("w1", [Completed(lease=lease) for lease in leases], 0)
    assert (await queue.job("poison")).state == "failed"
    assert [(await queue.job(job_id)).state for job_id in innocents] == ["completed"] * 3


async def test_backoff_doubles_up_to_its_limit(connect, redis: Redis) -> None:
    queue = await connect(retry_backoff_ms=1000, retry_backoff_max_ms=3000)
    await queue.submit(NewJob(id="a", max_retries=9))
    delays = []
    for _ in range(4):
        await redis.command("ZADD", "delayed", "XX", 1, "a")
        [lease] = await queue.claim("w1")
        await queue.end(Failed(lease=lease, error="no"))
        failed_at = (await queue.history("a"))[-1].at
        delays.append(int(await redis.command("ZSCORE", "delayed", "a")) - failed_at)
    assert delays == [1000, 2000, 3000, 3000]


@pytest.mark.usefixtures("reaped_before")
async def test_the_place_in_line_does_not_depend_on_when_but_on_the_turn(connect, redis: Redis) -> None:
    """A job given back, reaped or retried stands where it stood; no score ever holds a time."""
    queue = await connect(retry_backoff_ms=0)
    await queue.submit_many([NewJob(id=job_id) for job_id in "abc"])
    before = await redis.command("ZRANGE", "ready:unknown", 0, -1, "WITHSCORES")
    [lease] = await queue.claim("w1")
    await queue.end(Failed(lease=lease, error="no"))
    await queue.cancel("a")
    await queue.retry("a")
    await queue.claim("w2")
    await redis.command("ZADD", "leases", 1, "a")
    await queue.reap()
    assert await redis.command("ZRANGE", "ready:unknown", 0, -1, "WITHSCORES") == before


async def test_a_large_result_is_kept_whole_but_not_told_whole(queue: Queue) -> None:
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    result = msgspec.json.encode("x" * 70_000)
    await queue.end(Completed(lease=lease, result=msgspec.Raw(result)))
    last = (await queue.history("a"))[-1]
    assert (last.result, last.result_omitted) == (None, True)
    job = await queue.job("a")
    assert job is not None
    assert job.result == msgspec.Raw(result)


async def test_a_result_over_the_limit_fails_the_job_with_a_reason(connect) -> None:
    queue = await connect(result_limit=100)
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    assert await queue.end(Completed(lease=lease, result=msgspec.Raw(b'"%s"' % (b"x" * 200)))) is JobState.FAILED
    job = await queue.job("a")
    assert job is not None
    assert job.error == "the result is 202 bytes long; the limit is 100"


async def test_a_batch_with_bad_submissions_stores_the_good_ones_only(queue: Queue) -> None:
    answers = await queue.submit_many(
        [
            NewJob(id="a"),
            NewJob(id="b", payload=msgspec.Raw(b"[1]")),
            NewJob(id="c", priority=2**53 + 1),
            NewJob(id="d"),
        ]
    )
    assert [getattr(answer, "job_id", getattr(answer, "field", None)) for answer in answers] == [
        "a",
        "payload",
        "priority",
        "d",
    ]
    assert all(isinstance(answer, InvalidJob) for answer in answers[1:3])
    assert (await queue.counts()).pending == 2


async def test_a_batch_larger_than_one_call_is_answered_in_order(queue: Queue) -> None:
    big = msgspec.Raw(b'{"p":"%s"}' % (b"x" * 400_000))
    jobs = [NewJob(id=f"j{i}", payload=big if i % 100 == 0 else msgspec.Raw(b"{}")) for i in range(450)]
    answers = await queue.submit_many(jobs)
    assert [answer.job_id for answer in answers] == [job.id for job in jobs]
    assert [lease.job_id for lease in await queue.claim("w1", count=450)] == [job.id for job in jobs]


async def test_odd_text_comes_back_or_is_replaced_but_breaks_nothing(queue: Queue) -> None:
    await queue.submit(NewJob(id="ä 1", service_required="größe 大", client_id="✓"))
    [lease] = await queue.claim("wörker")
    await queue.end(Failed(lease=lease, error="half a pair \ud800 \x00\r\n", retryable=False))
    job = await queue.job("ä 1")
    assert job is not None
    assert (job.service_required, job.client_id, job.worker_id) == ("größe 大", "✓", "wörker")
    assert job.error == "half a pair ? \x00\r\n"
    assert await queue.job("\udfff") is None


async def test_a_cancelled_claim_gives_its_job_back_at_once(queue: Queue) -> None:
    await queue.submit(NewJob(id="a"))
    claiming = asyncio.create_task(queue.claim("w1"))
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    async with asyncio.timeout(5):
        while not await queue.claim("w2"):
            await asyncio.sleep(0.005)


async def test_a_wait_broken_off_holds_nothing(queue: Queue) -> None:
    broken_off = 0
    for _ in range(20):
        waiting = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=60_000))
        await asyncio.sleep(0.005)
        submitting = asyncio.create_task(queue.submit(NewJob()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, submitting, return_exceptions=True)
        broken_off += waiting.cancelled()
        held = [] if waiting.cancelled() else waiting.result()[0]
        assert (await queue.counts()).claimed == len(held)
        left = held + await queue.claim("w1")
        assert await queue.end_and_claim("w1", [Completed(lease=lease) for lease in left], 0) == (
            [JobState.COMPLETED],
            [],
        )
    assert broken_off


async def test_events_go_on_after_somebody_deleted_the_stream_and_the_clock_went_back(
    queue: Queue, redis: Redis
) -> None:
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    await queue.progress(lease, ProgressUpdate(progress=1))
    await redis.command("XADD", "events:a", "99999999999999-0", "kind", "somebody else's")
    await redis.command("DEL", "events")
    await queue.end(Completed(lease=lease))
    kinds = [event.kind for event in await queue.history("a")]
    assert kinds == ["submitted", "claimed", "progress", "completed"]


async def test_a_wait_with_no_room_is_refused_as_it_would_eat_a_wake_up(queue: Queue) -> None:
    with pytest.raises(ValueError, match="room for at least one"):
        await queue.wait_and_claim("w1", 0, timeout_ms=10)


async def test_details_too_large_for_an_event_say_so(connect) -> None:
    queue = await connect(inline_result_limit=100)
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    await queue.progress(lease, ProgressUpdate(progress=1, message="m" * 9_000, details={"preview": "x" * 200}))
    last = (await queue.history("a"))[-1]
    assert last.details == {"details_omitted": 214}
    assert last.message == "m" * 4_096


async def test_a_filter_that_no_job_passes_ends_with_short_pages(queue: Queue, monkeypatch) -> None:
    monkeypatch.setattr(reader, "INSPECT_LIMIT", 10)
    monkeypatch.setattr(reader, "INSPECT_ROUNDS", 2)
    await queue.submit(NewJob(id="old", service_required="rare"))
    await queue.submit_many([NewJob() for _ in range(45)])
    pages = [await queue.jobs(service="rare")]
    while pages[-1].cursor:
        pages.append(await queue.jobs(service="rare", cursor=pages[-1].cursor))
    assert [job.id for page in pages for job in page.jobs] == ["old"]
    assert len(pages) == 3
