"""Each function of the library alone: what it answers and what it leaves in Redis."""

from __future__ import annotations

import pytest

from new_stack.queue import WorkerReport
from new_stack.queue import function_caller as library
from tests.new_stack.queue.conftest import Redis


class TestSubmit:
    async def test_puts_a_job_in_every_index_at_once(self, redis: Redis) -> None:
        created, state, position, created_at = await redis.submit("a", 2)
        assert (created, state, position) == (b"created", b"pending", 1)
        assert str(created_at) == (await redis.record("a"))["created_at"]
        assert await redis.command("ZSCORE", "jobs:pending", "a") == b"2199023255551"  # 2 * 2**40 - 1
        assert await redis.command("ZSCORE", "jobs:pending:s", "a") == b"2199023255551"
        assert await redis.command("ZSCORE", "jobs:state:pending", "a") == b"1"
        assert await redis.command("HGET", "jobs:services", "s") == b"1"
        assert await redis.command("LLEN", "jobs:wake") == 1
        assert await redis.kinds("a") == ["submitted"]

    async def test_a_repeat_changes_nothing_and_other_content_is_a_conflict(self, redis: Redis) -> None:
        await redis.submit("a")
        before = await redis.record("a")
        *answer, record = await redis.submit("a")
        assert answer == [b"same", b"pending", 1]
        assert record == await redis.command("HGETALL", "job:a")
        [other] = await redis.write("submit", 1, "a", "s", "{}", 0, "", 3, "another digest", "")
        assert other == [b"conflict"]
        assert await redis.record("a") == before
        assert await redis.command("ZCARD", "jobs:pending") == 1
        assert await redis.kinds("a") == ["submitted"]

    async def test_the_same_id_twice_in_one_call_is_one_job(self, redis: Redis) -> None:
        row = ("a", "s", "{}", 0, "", 3, "digest", "")
        first, second = await redis.write("submit", 2, *row, *row)
        assert (first[0], second[0]) == (b"created", b"same")
        assert await redis.command("LLEN", "jobs:wake") == 1

    async def test_a_repeat_of_a_large_job_is_answered_without_its_record(self, redis: Redis) -> None:
        row = ("a", "s", "{" + " " * 70_000 + "}", 0, "", 3, "digest", "")
        await redis.write("submit", 1, *row)
        [[*_, record]] = await redis.write("submit", 1, *row)
        assert record == []

    async def test_an_id_whose_key_is_something_else_is_a_conflict(self, redis: Redis) -> None:
        await redis.command("SET", "job:a", "text")
        assert (await redis.submit("a"))[0] == b"conflict"
        assert await redis.command("ZCARD", "jobs:pending") == 0

    @pytest.mark.parametrize("priority", [-4096, 4096])
    async def test_the_score_is_exact_at_both_limits(self, redis: Redis, priority: int) -> None:
        await redis.command("SET", "jobs:sequence", 2**40 - 3)
        for job_id in ("a", "b"):
            await redis.submit(job_id, priority)
        scores = [int(float(await redis.command("ZSCORE", "jobs:pending", job_id))) for job_id in ("a", "b")]
        assert scores == [priority * 2**40 - (2**40 - 2), priority * 2**40 - (2**40 - 1)]


class TestClaim:
    async def test_moves_the_job_from_the_line_onto_a_lease(self, redis: Redis) -> None:
        await redis.submit("a", 7)
        [row] = await redis.write("claim", "w1", 5)
        assert row[:8] == [b"a", 1, b"s", b"{}", 7, b"", 3, 0]
        assert int(await redis.command("ZSCORE", "jobs:leases", "a")) == row[8]
        for index in ("jobs:pending", "jobs:pending:s", "jobs:state:pending", "jobs:services", "jobs:wake"):
            assert await redis.command("EXISTS", index) == 0, index
        assert (await redis.record("a"))["worker_id"] == "w1"
        assert await redis.write("claim", "w2", 5) == []

    async def test_takes_in_order_of_priority_then_sequence(self, redis: Redis) -> None:
        for job_id, priority in (("a", 0), ("b", 1), ("c", 0), ("d", 1)):
            await redis.submit(job_id, priority)
        rows = await redis.write("claim", "w1", 3)
        assert [row[0] for row in rows] == [b"b", b"d", b"a"]

    async def test_takes_back_only_the_tokens_beyond_the_jobs_left(self, redis: Redis) -> None:
        for job_id in "abc":
            await redis.submit(job_id)
        await redis.write("claim", "w1", 1)
        assert await redis.command("LLEN", "jobs:wake") == 2


class TestEnds:
    @pytest.mark.parametrize(
        ("kind", "word", "event", "index"),
        [
            ("complete", b"completed", "completed", "jobs:state:completed"),
            ("fail", b"pending", "attempt_failed", "jobs:delayed"),
            ("release", b"pending", "released", "jobs:pending"),
        ],
    )
    async def test_each_end_once(self, redis: Redis, kind: str, word: bytes, event: str, index: str) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        assert await redis.end(kind, "a") == word
        assert await redis.command("ZSCORE", index, "a") is not None
        assert await redis.command("ZCARD", "jobs:leases") == 0
        assert await redis.kinds("a") == ["submitted", "claimed", event]

    @pytest.mark.parametrize(("kind", "word"), [("complete", b"completed"), ("fail", b"pending")])
    async def test_a_repeat_whose_first_answer_was_lost_is_answered_the_same(
        self, redis: Redis, kind: str, word: bytes
    ) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        assert [await redis.end(kind, "a"), await redis.end(kind, "a")] == [word, word]
        assert len(await redis.kinds("a")) == 3
        assert (await redis.record("a"))["failures"] == ("1" if kind == "fail" else "0")

    @pytest.mark.parametrize("kind", ["complete", "fail", "release"])
    async def test_an_old_attempt_ends_nothing(self, redis: Redis, kind: str) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        await redis.end("release", "a")
        await redis.write("claim", "w1", 1)
        before = await redis.record("a")
        assert await redis.end(kind, "a", attempt=1) == b"lost"
        assert await redis.end(kind, "nobody") == b"lost"
        assert await redis.record("a") == before

    async def test_the_last_retry_or_a_hopeless_failure_ends_for_good(self, redis: Redis) -> None:
        await redis.submit("a", retries=0)
        await redis.submit("b")
        await redis.write("claim", "w1", 2)
        assert await redis.end("fail", "a", body="boom") == b"failed"
        assert await redis.end("fail", "b", body="boom", again="0") == b"failed"
        assert (await redis.record("a"))["error"] == "boom"
        assert await redis.command("ZCARD", "jobs:expiring") == 2

    async def test_ends_and_claims_in_one_step(self, redis: Redis) -> None:
        for job_id in "ab":
            await redis.submit(job_id)
        await redis.write("claim", "w1", 1)
        words, rows = await redis.write("end_and_claim", "w1", 2, 1, "complete", "a", 1, "w1", "1", "")
        assert words == [b"completed"]
        assert [row[0] for row in rows] == [b"b"]


class TestRenewAndProgress:
    async def test_renew_moves_the_lease_of_its_holder_only(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        await redis.command("ZADD", "jobs:leases", 5, "a")
        assert await redis.write("renew", 3, "a", 1, "w2", "a", 2, "w1", "b", 1, "w1") == [b"lost"] * 3
        assert await redis.command("ZSCORE", "jobs:leases", "a") == b"5"
        assert await redis.write("renew", 1, "a", 1, "w1") == [b"held"]
        assert int(await redis.command("ZSCORE", "jobs:leases", "a")) > 5

    async def test_progress_is_noted_told_and_renews(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        await redis.command("ZADD", "jobs:leases", 5, "a")
        assert await redis.write("progress", "a", 1, "w1", "40", "processing", "nearly", "") == b"held"
        assert await redis.write("progress", "a", 1, "w2", "90", "processing", "", "") == b"lost"
        record = await redis.record("a")
        assert (record["progress"], record["status_message"]) == ("40", "nearly")
        assert int(await redis.command("ZSCORE", "jobs:leases", "a")) > 5
        assert await redis.kinds("a") == ["submitted", "claimed", "progress"]

    async def test_a_new_attempt_begins_without_the_old_ones_progress(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        await redis.write("progress", "a", 1, "w1", "40", "processing", "nearly", "")
        await redis.end("release", "a")
        await redis.write("claim", "w1", 1)
        assert "progress" not in await redis.record("a")


class TestCancelAndRetry:
    @pytest.mark.parametrize("where", ["pending", "delayed", "claimed"])
    async def test_cancel_ends_a_job_wherever_it_is(self, redis: Redis, where: str) -> None:
        await redis.submit("a")
        if where != "pending":
            await redis.write("claim", "w1", 1)
        if where == "delayed":
            await redis.end("fail", "a")
        assert (await redis.write("cancel", "a", "enough"))[0] == b"cancelled"
        for index in ("jobs:pending", "jobs:pending:s", "jobs:delayed", "jobs:leases", "jobs:services", "jobs:wake"):
            assert await redis.command("EXISTS", index) == 0, index
        assert await redis.command("ZCARD", "jobs:state:cancelled") == 1
        assert await redis.command("LLEN", "worker:w1:signals") == (1 if where == "claimed" else 0)
        before = await redis.kinds("a")
        assert (await redis.write("cancel", "a", "again"))[0] == b"cancelled"
        assert await redis.kinds("a") == before

    async def test_cancel_refuses_what_has_ended(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        await redis.end("complete", "a")
        assert await redis.write("cancel", "a", "late") == [b"refused", b"completed"]
        assert await redis.write("cancel", "nobody", "x") == [b"missing"]

    async def test_retry_takes_failed_and_cancelled_jobs_only(self, redis: Redis) -> None:
        await redis.submit("a")
        assert await redis.write("retry", "a") == [b"refused", b"pending"]
        await redis.write("cancel", "a", "x")
        word, _ = await redis.write("retry", "a")
        assert word == b"retried"
        assert await redis.command("ZSCORE", "jobs:pending", "a") == b"-1"
        assert await redis.command("ZCARD", "jobs:expiring") == 0
        assert "ended_at" not in await redis.record("a")
        assert await redis.kinds("a") == ["submitted", "cancelled", "retried"]

    async def test_a_job_retried_by_hand_may_go_to_the_worker_that_failed_it(self, redis: Redis) -> None:
        await redis.write("heartbeat", "w2", "{}")
        await redis.submit("a", retries=0)
        await redis.write("claim", "w1", 1)
        await redis.end("fail", "a")
        await redis.write("retry", "a")
        assert len(await redis.write("claim", "w1", 1)) == 1


class TestReap:
    async def test_puts_back_what_ran_out_and_leaves_the_rest(self, redis: Redis) -> None:
        for job_id in "ab":
            await redis.submit(job_id)
        await redis.write("claim", "w1", 2)
        await redis.command("ZADD", "jobs:leases", 5, "a")
        assert await redis.write("reap", 100) == [[b"a"], b"0"]
        assert await redis.command("ZRANGE", "jobs:pending", 0, -1) == [b"a"]
        assert await redis.command("ZRANGE", "jobs:leases", 0, -1) == [b"b"]
        assert await redis.command("LLEN", "jobs:wake") == 1
        record = await redis.record("a")
        assert (record["deliveries"], record["failures"], record["attempt"]) == ("1", "0", "1")

    async def test_gives_up_a_job_that_loses_every_worker(self, redis: Redis) -> None:
        await redis.submit("a")
        for _ in range(10):
            await redis.write("claim", "w1", 1)
            await redis.command("ZADD", "jobs:leases", 5, "a")
            await redis.write("reap", 100)
        record = await redis.record("a")
        assert (record["state"], record["deliveries"]) == ("failed", "10")
        assert (await redis.kinds("a"))[-1] == "failed"

    async def test_says_when_there_may_be_more_to_do(self, redis: Redis) -> None:
        for job_id in "ab":
            await redis.submit(job_id)
        await redis.write("claim", "w1", 2)
        for job_id in "ab":
            await redis.command("ZADD", "jobs:leases", 5, job_id)
        assert await redis.write("reap", 1) == [[b"a"], b"1"]

    async def test_promotes_due_retries_to_their_old_place(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.write("claim", "w1", 1)
        await redis.end("fail", "a")
        await redis.submit("b")
        await redis.command("ZADD", "jobs:delayed", 5, "a")
        await redis.write("reap", 100)
        assert await redis.command("ZRANGE", "jobs:pending", 0, -1, "REV") == [b"a", b"b"]

    async def test_forgets_ended_jobs_whole(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.write("cancel", "a", "x")
        await redis.command("ZADD", "jobs:expiring", 5, "a")
        await redis.write("reap", 100)
        left = await redis.caller.connection.call("KEYS", f"{redis.prefix}*")
        assert sorted(left) == [f"{redis.prefix}{name}".encode() for name in ("events", "jobs:sequence")]


class TestReading:
    async def test_count_and_position(self, redis: Redis) -> None:
        for job_id, priority in (("a", 0), ("b", 1), ("c", 0)):
            await redis.submit(job_id, priority)
        await redis.submit("x", service="other")
        assert [await redis.read("position", job_id) for job_id in ("a", "b", "c", "x", "nobody")] == [2, 1, 3, 1, 0]
        await redis.write("claim", "w1", 1)
        await redis.end("fail", "b")
        pending, claimed, completed, failed, cancelled, delayed, services = await redis.read("count")
        assert (pending, claimed, completed, failed, cancelled, delayed) == (4, 0, 0, 0, 0, 1)
        assert dict(zip(services[::2], services[1::2], strict=True)) == {b"s": b"2", b"other": b"1"}

    async def test_list_ends_its_work_when_it_has_looked_at_enough(self, redis: Redis) -> None:
        for index in range(5):
            await redis.submit(f"j{index}", service="odd" if index % 2 else "even")
        assert await redis.read("list", "", "odd", "", "+inf", 10, 2, 10**6) == [b"4", [[b"j3", _any()]]]
        below, rows = await redis.read("list", "", "odd", "", "4", 10, 100, 10**6)
        assert (below, [row[0] for row in rows]) == (b"", [b"j1"])
        below, rows = await redis.read("list", "", "", "", "+inf", 10, 100, 1)
        assert (below, [row[0] for row in rows]) == (b"5", [b"j4"])

    async def test_workers_and_heartbeats(self, redis: Redis) -> None:
        report = b'{"worker_id":"w1"}'
        assert await redis.write("heartbeat", "w1", report) == b"ok"
        [row] = await redis.read("workers")
        assert (row[0], row[1], row[4]) == (b"w1", report, b"1")
        assert 0 < await redis.command("PTTL", "worker:w1:heartbeat") <= redis.caller.settings.heartbeat_ttl_ms
        assert await redis.write("unregister", "w1") == b"ok"
        assert await redis.caller.connection.call("KEYS", f"{redis.prefix}worker*") == []

    async def test_version(self, redis: Redis) -> None:
        assert await redis.read("version") == library.VERSION


async def test_another_prefix_sees_nothing(redis: Redis, connect) -> None:
    other = await connect(prefix=f"{redis.prefix}other:")
    await redis.submit("a")
    await redis.write("heartbeat", "w1", "{}")
    assert await other.claim("w1") == []
    assert await other.workers() == []
    assert await other.job("a") is None
    await other.heartbeat(WorkerReport(worker_id="w2"))
    assert len(await other.workers()) == 1


class _any:  # noqa: N801 - reads as a word in an expectation
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]
