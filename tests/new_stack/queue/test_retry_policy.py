"""A job's own rules: how often it runs, how long it pauses, after which errors, not before when, and until when."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from new_stack.queue import Completed, Failed, InvalidJob, JobConflict, JobState, NewJob, Queue, RetryPolicy
from tests.new_stack.queue.conftest import Redis

HOUR = 3_600_000


def job(job_id: str = "j", *, not_before: int | None = None, **policy: Any) -> NewJob:
    rules = RetryPolicy(**policy) if policy else None
    return NewJob(id=job_id, service_required="draw", retry_policy=rules, not_before=not_before)


async def fail(queue: Queue, redis: Redis, error: str = "boom", error_type: str = "") -> tuple[JobState, float]:
    """Claim the job and fail it: its new state, and the pause before it runs again, in ms."""
    await redis.command("ZADD", "delayed", "XX", 5, "j")  # a pause is over when the test says so
    [lease] = await queue.claim("w")
    state = await queue.end(Failed(lease=lease, error=error, error_type=error_type))
    due = await redis.command("ZSCORE", "delayed", "j")
    return state, float(due) - time.time() * 1000 if due else 0


async def test_attempts_say_how_often_it_runs(queue: Queue, redis: Redis) -> None:
    await queue.submit(job(attempts=2))
    assert [(await fail(queue, redis))[0] for _ in range(2)] == [JobState.PENDING, JobState.FAILED]
    with pytest.raises(InvalidJob, match=r"retry_policy\.attempts"):
        await queue.submit(msgspec.structs.replace(job("other", attempts=2), max_retries=5))


async def test_the_pause_grows_by_the_jobs_own_factor_up_to_its_own_cap(queue: Queue, redis: Redis) -> None:
    rules = {"backoff_base_ms": 100_000, "backoff_factor": 3.0, "backoff_cap_ms": 500_000, "attempts": 9}
    await queue.submit(job(**rules))
    pauses = [(await fail(queue, redis))[1] for _ in range(4)]
    assert pauses == pytest.approx([100_000, 300_000, 500_000, 500_000], abs=20_000)


async def test_jitter_spreads_the_pauses_within_its_share(queue: Queue, redis: Redis) -> None:
    await queue.submit(job(backoff_base_ms=HOUR, backoff_factor=1.0, backoff_jitter=0.5, backoff_cap_ms=HOUR))
    pauses = [(await fail(queue, redis))[1] / HOUR for _ in range(3)]
    assert all(0.48 < pause < 1.52 for pause in pauses)
    assert max(pauses) - min(pauses) > 0.01


@pytest.mark.parametrize(
    ("wanted", "error", "error_type", "again"),
    [
        (["ConnectionError"], "no route", "ConnectionError", True),
        (["ConnectionError"], "ConnectionError: no route", "", True),
        (["ConnectionError"], "ConnectionErrorish", "ValueError", False),
        (["*timed out*"], "the back end timed out after 5 s", "", True),
        (["timed out*"], "the back end timed out", "", False),
        (["*busy", "*full*"], "the disk is full now", "", True),
        (["*b*b"], "b", "", False),
        (["100% of *"], "100% of it (all)", "", True),
        ([], "boom", "", False),
    ],
)
async def test_it_runs_again_only_after_the_errors_that_it_names(
    queue: Queue, redis: Redis, wanted: list[str], error: str, error_type: str, again: bool
) -> None:
    await queue.submit(job(retry_on=wanted))
    state, _ = await fail(queue, redis, error, error_type)
    assert state is (JobState.PENDING if again else JobState.FAILED)


async def test_a_job_for_later_waits_for_its_moment(queue: Queue, redis: Redis) -> None:
    moment = int(time.time() * 1000) + HOUR
    said = await queue.submit(job(not_before=moment))
    assert (said.created, said.position) == (True, 0)
    assert (await queue.submit(job(not_before=moment))).created is False
    with pytest.raises(JobConflict):
        await queue.submit(job(not_before=moment + 1))
    assert await queue.claim("w") == []
    explained = await queue.explain("j")
    assert explained is not None
    assert explained.due_at == moment
    await redis.command("ZADD", "delayed", 5, "j")
    assert [lease.job_id for lease in await queue.claim("w")] == ["j"]


async def test_a_clock_set_back_does_not_start_a_job_that_waits_for_its_moment(queue: Queue, redis: Redis) -> None:
    moment = int(time.time() * 1000) + 100 * HOUR
    await queue.submit(job(not_before=moment))
    await redis.command("SET", "reaped_at", f"{moment} 0")
    await queue.reap()
    assert float(await redis.command("ZSCORE", "delayed", "j")) == moment


async def test_an_attempt_may_take_what_the_job_says_and_no_longer_than_its_deadline(queue: Queue) -> None:
    await queue.submit(job("a", timeout_ms=5_000))
    await queue.submit(job("b", timeout_ms=HOUR, deadline_ms=60_000))
    await queue.submit(job("c"))
    limits = [lease.timeout_ms for lease in await queue.claim("w", 3)]
    assert limits[0] == 5_000
    assert limits[1] is not None
    assert 1 <= limits[1] <= 60_000
    assert limits[2] is None


@pytest.mark.parametrize("found_by", ["claim", "reap"])
async def test_what_is_not_done_by_its_deadline_fails(queue: Queue, redis: Redis, found_by: str) -> None:
    await queue.submit(job(deadline_ms=HOUR))
    await redis.change("j", deadline_at=5)
    await redis.command("ZADD", "deadlines", 5, "j")
    if found_by == "claim":
        assert await queue.claim("w") == []
    else:
        await queue.reap()
    failed = await queue.job("j")
    assert failed is not None
    assert (failed.state, failed.error) == (JobState.FAILED, "its deadline passed before it was done")
    assert (await redis.kinds("j"))[-1] == "failed"
    assert await redis.command("EXISTS", "deadlines") == 0
    again = await queue.retry("j")
    assert again.deadline_at is not None
    assert again.deadline_at > time.time() * 1000


async def test_no_attempt_is_left_that_would_begin_after_the_deadline(queue: Queue, redis: Redis) -> None:
    await queue.submit(job(deadline_ms=60_000, backoff_base_ms=HOUR, backoff_cap_ms=HOUR))
    state, _ = await fail(queue, redis)
    assert state is JobState.FAILED


async def test_a_job_that_is_done_in_time_leaves_no_deadline_behind(queue: Queue, redis: Redis) -> None:
    await queue.submit(job(deadline_ms=HOUR))
    [lease] = await queue.claim("w")
    await queue.end(Completed(lease=lease))
    assert await redis.command("EXISTS", "deadlines") == 0
