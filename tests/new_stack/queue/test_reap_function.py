"""The function that takes back lapsed leases alone: what it answers and what it leaves in Redis."""

from __future__ import annotations

import pytest

from tests.new_stack.queue.conftest import Redis


class TestReap:
    @pytest.mark.usefixtures("reaped_before")
    async def test_puts_back_what_ran_out_and_leaves_the_rest(self, redis: Redis) -> None:
        for job_id in "ab":
            await redis.submit(job_id)
        await redis.claim("w1", 2)
        await redis.lapse("a")
        assert await redis.write("reap", 100) == [[b"a"], b"0"]
        assert await redis.ready() == ["a"]
        assert await redis.command("ZRANGE", "leases", 0, -1) == [b"b"]
        record = await redis.record("a")
        assert (record["deliveries"], record["failures"], record["attempt"]) == (1, 0, 1)

    @pytest.mark.usefixtures("reaped_before")
    async def test_gives_up_a_job_that_loses_every_worker(self, redis: Redis) -> None:
        await redis.submit("a")
        for _ in range(10):
            await redis.claim("w1", 1)
            await redis.lapse("a")
            await redis.write("reap", 100)
        record = await redis.record("a")
        assert (record["state"], record["deliveries"]) == ("failed", 10)
        assert (await redis.kinds("a"))[-1] == "failed"

    @pytest.mark.usefixtures("reaped_before")
    async def test_says_when_there_may_be_more_to_do(self, redis: Redis) -> None:
        for job_id in "ab":
            await redis.submit(job_id)
        await redis.claim("w1", 2)
        for job_id in "ab":
            await redis.lapse(job_id)
        assert await redis.write("reap", 1) == [[b"a"], b"1"]

    async def test_promotes_due_retries_to_their_old_place(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.end("fail", "a")
        await redis.submit("b")
        await redis.command("ZADD", "delayed", 5, "a")
        await redis.write("reap", 100)
        assert await redis.ready() == ["a", "b"]

    async def test_forgets_ended_jobs_whole(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.write("cancel", "a", "x")
        await redis.command("ZADD", "ended", 5, "a")
        await redis.write("reap", 100)
        left = await redis.caller.connection.call("KEYS", f"{redis.prefix}*")
        names = ("events", "reaped_at", "sampled", "sequence", "tallies", "tally")
        assert sorted({name.decode().removeprefix(redis.prefix).partition(":")[0] for name in left}) == list(names)

    async def test_keeps_ended_jobs_by_number_as_well(self, connect, redis: Redis) -> None:
        queue = await connect(finished_limit=2)
        for job_id in "abc":
            await redis.submit(job_id)
            await redis.write("cancel", job_id, "x")
        await queue.reap()
        assert [job.id for job in (await queue.jobs()).jobs] == ["c", "b"]

    async def test_an_absence_of_redis_gives_every_lease_a_whole_term(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.write("reap", 100)
        [last, _] = (await redis.command("GET", "reaped_at")).split()
        await redis.command("SET", "reaped_at", f"{int(last) - 60_000} 0")
        await redis.lapse("a")
        assert await redis.write("reap", 100) == [[], b"0"]
        assert await redis.write("renew", 1, "a", 1, "w1") == [b"held"]
        [last, grace] = (await redis.command("GET", "reaped_at")).split()
        assert int(grace) - int(last) == redis.caller.settings.lease_ms
        await redis.command("SET", "reaped_at", f"{last.decode()} {last.decode()}")
        await redis.lapse("a")
        assert await redis.write("reap", 100) == [[b"a"], b"0"]

    async def test_a_queue_that_nobody_has_reaped_yet_gives_every_lease_a_whole_term(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.command("DEL", "reaped_at")
        await redis.lapse("a")
        assert await redis.write("reap", 100) == [[], b"0"]
        assert await redis.write("renew", 1, "a", 1, "w1") == [b"held"]

    async def test_a_clock_set_back_leaves_no_lease_longer_than_a_term(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.write("reap", 100)
        [last, _] = (await redis.command("GET", "reaped_at")).split()
        hour = 3_600_000
        await redis.command("SET", "reaped_at", f"{int(last) + hour} 0")
        await redis.command("ZADD", "leases", int(last) + hour, "a")
        await redis.write("reap", 100)
        assert int(await redis.command("ZSCORE", "leases", "a")) <= int(last) + 2 * redis.caller.settings.lease_ms
