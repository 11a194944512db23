"""Each function of the library alone: what it answers and what it leaves in Redis."""

from __future__ import annotations

import msgspec
import pytest

from new_stack.queue import Lease
from new_stack.queue.decoding import leases_of
from tests.new_stack.queue.conftest import Redis, submission


class TestSubmit:
    async def test_puts_a_job_in_every_index_at_once(self, redis: Redis) -> None:
        created, state, position, created_at, _ = await redis.submit("a", 2)
        assert (created, state, position) == (b"created", b"pending", 1)
        assert created_at == (await redis.record("a"))["created_at"]
        assert await redis.command("ZSCORE", "ready:s", "fffffffffea") == b"2199023255551"  # 2 * 2**40 - 1
        assert await redis.command("ZSCORE", "ready", "s") == b"2199023255551"
        assert await redis.command("ZSCORE", "jobs", "a") == b"1"
        assert await redis.kinds("a") == ["submitted"]

    async def test_a_repeat_changes_nothing_and_other_content_is_a_conflict(self, redis: Redis) -> None:
        await redis.submit("a")
        before = await redis.record("a")
        *answer, row = await redis.submit("a")
        assert answer == [b"same", b"pending", 1]
        assert (row[0], msgspec.msgpack.decode(row[1]), row[2:]) == (b"a", before, [b"", b""])
        [other] = await redis.write("submit", 1, *submission("a", digest="another digest"))
        assert other == [b"conflict"]
        assert await redis.record("a") == before
        assert await redis.ready() == ["a"]
        assert await redis.kinds("a") == ["submitted"]

    async def test_the_same_id_twice_in_one_call_is_one_job(self, redis: Redis) -> None:
        row = submission("a")
        first, second = await redis.write("submit", 2, *row, *row)
        assert (first[0], second[0]) == (b"created", b"same")
        assert await redis.ready() == ["a"]

    async def test_a_repeat_of_a_large_job_is_answered_without_its_record(self, redis: Redis) -> None:
        row = submission("a", payload="{" + " " * 70_000 + "}")
        await redis.write("submit", 1, *row)
        [[*_, record]] = await redis.write("submit", 1, *row)
        assert record == []

    async def test_a_record_has_by_its_places_what_the_functions_tell_by_name(self, redis: Redis) -> None:
        await redis.write("submit", 1, *submission("a", client_id="c", retry_policy={"timeout_ms": 9_000}))
        await redis.claim("w1", 1)
        await redis.write("progress", "a", 1, "w1", "progress", 50, "processing", "half", "", 1)
        record = await redis.record("a")
        [[_, told, *_], _] = await redis.read("job", "a", "1")
        assert record == msgspec.msgpack.decode(told)
        assert (record["state"], record["worker_id"], record["client_id"]) == ("claimed", "w1", "c")

    async def test_an_id_whose_key_is_something_else_is_a_conflict(self, redis: Redis) -> None:
        await redis.command("SET", "record:a", "text")
        assert (await redis.submit("a"))[0] == b"conflict"
        assert await redis.ready() == []

    @pytest.mark.parametrize("priority", [-4096, 4096])
    async def test_the_score_is_exact_at_both_limits(self, redis: Redis, priority: int) -> None:
        await redis.command("SET", "sequence", 2**40 - 3)
        for job_id in ("a", "b"):
            await redis.submit(job_id, priority)
        found = await redis.command("ZRANGE", "ready:s", 0, -1, "REV", "WITHSCORES")
        assert [int(float(score)) for score in found[1::2]] == [
            priority * 2**40 - (2**40 - 2),
            priority * 2**40 - (2**40 - 1),
        ]


class TestClaim:
    async def test_moves_the_job_from_the_line_onto_a_lease(self, redis: Redis) -> None:
        await redis.submit("a", 7)
        [lease] = await redis.claim("w1", 5)
        assert lease == Lease("a", 1, "s", 7, 3, 0, lease.expires_at, "w1", payload=msgspec.Raw(b"{}"))
        assert int(await redis.command("ZSCORE", "leases", "a")) == lease.expires_at
        assert await redis.ready() == []
        assert (await redis.record("a"))["worker_id"] == "w1"
        assert await redis.claim("w2", 5) == []

    async def test_takes_in_order_of_priority_then_sequence(self, redis: Redis) -> None:
        for job_id, priority in (("a", 0), ("b", 1), ("c", 0), ("d", 1)):
            await redis.submit(job_id, priority)
        leases = await redis.claim("w1", 3)
        assert [lease.job_id for lease in leases] == ["b", "d", "a"]

    async def test_takes_only_what_the_worker_serves_in_order_over_all_of_it(self, redis: Redis) -> None:
        jobs = [("a", 0, "x"), ("b", 5, "y"), ("c", 1, "z"), ("d", 1, "x"), ("e", 9, "y"), ("f", 0, "z"), ("g", 0, "x")]
        for job_id, priority, service in jobs:
            await redis.submit(job_id, priority, service=service)
        leases = await redis.claim("w1", 9, services="x\nz")
        assert [lease.job_id for lease in leases] == ["c", "d", "a", "f", "g"]
        assert await redis.ready("y") == ["e", "b"]
        assert [lease.job_id for lease in await redis.claim("w2", 9)] == ["e", "b"]

    async def test_a_waiting_worker_takes_its_share_and_is_woken_again(self, redis: Redis) -> None:
        for worker in ("w1", "w2", "w3", "w4"):
            await redis.beat(worker)
            assert await redis.claim(worker, 4, idle_ms=60_000) == []
        await redis.write("submit", 4, *(field for job_id in "abcd" for field in submission(job_id)))
        shares = [await redis.claim(worker, 4, idle_ms=60_000) for worker in ("w1", "w2", "w3", "w4")]
        assert [[lease.job_id for lease in share] for share in shares] == [["a"], ["b"], ["c"], ["d"]]
        assert await redis.command("LLEN", "wake:w1") == 2  # the submission, and what it left to others

    async def test_a_worker_shares_by_service_also_where_others_have_much_to_do(self, redis: Redis) -> None:
        for worker, service in (("i1", "image"), ("i2", "image"), ("v1", "video")):
            await redis.beat(worker, services=service)
        for index in range(40):
            await redis.submit(f"v{index}", service="video")
        for index in range(2):
            await redis.submit(f"i{index}", service="image")
        assert len(await redis.claim("i1", 4, services="image", idle_ms=60_000)) == 1

    async def test_a_submission_wakes_one_idle_worker_that_serves_it(self, redis: Redis) -> None:
        for worker, services in (("i1", "image"), ("i2", "image"), ("v1", "video"), ("all", "*")):
            await redis.beat(worker, services=services)
            await redis.claim(worker, 1, services=services, idle_ms=60_000)
        await redis.submit("a", service="image")
        woken = [await redis.command("LLEN", f"wake:{worker}") for worker in ("i1", "i2", "v1", "all")]
        assert woken == [1, 0, 0, 0]
        await redis.submit("b", service="other")
        assert await redis.command("LLEN", "wake:all") == 1

    async def test_a_worker_whose_wait_is_over_is_not_woken(self, redis: Redis) -> None:
        for worker in ("w1", "w2"):
            await redis.beat(worker)
            await redis.claim(worker, 1, idle_ms=60_000)
        await redis.command("ZADD", "idle:*", 5, "w1")
        await redis.submit("a")
        assert [await redis.command("LLEN", f"wake:{worker}") for worker in ("w1", "w2")] == [0, 1]

    async def test_one_that_leaves_hands_its_wake_up_on(self, redis: Redis) -> None:
        for worker in ("w1", "w2"):
            await redis.beat(worker)
            await redis.claim(worker, 1, idle_ms=60_000)
        await redis.submit("a")
        await redis.write("unregister", "w1")
        assert await redis.command("LLEN", "wake:w2") == 1

    @pytest.mark.usefixtures("reaped_before")
    async def test_a_job_that_lost_two_workers_runs_alone(self, redis: Redis) -> None:
        await redis.submit("poison")
        for _ in range(2):
            await redis.claim("w1", 1)
            await redis.lapse("poison")
            await redis.write("reap", 100)
        await redis.submit("good")
        assert await redis.claim("w1", 2, running=1) == []
        [lease] = await redis.claim("w1", 2)
        assert (lease.job_id, lease.alone) == ("poison", True)


class TestEnds:
    @pytest.mark.parametrize(
        ("kind", "word", "event", "index"),
        [
            ("complete", b"completed", "completed", "ended"),
            ("fail", b"pending", "attempt_failed", "delayed"),
            ("release", b"pending", "released", "ready:s"),
        ],
    )
    async def test_each_end_once(self, redis: Redis, kind: str, word: bytes, event: str, index: str) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        assert await redis.end(kind, "a") == word
        assert await redis.command("ZCARD", index) == 1
        assert await redis.command("ZCARD", "leases") == 0
        assert await redis.kinds("a") == ["submitted", "claimed", event]

    @pytest.mark.parametrize(("kind", "word"), [("complete", b"completed"), ("fail", b"pending")])
    async def test_a_repeat_whose_first_answer_was_lost_is_answered_the_same(
        self, redis: Redis, kind: str, word: bytes
    ) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        assert [await redis.end(kind, "a"), await redis.end(kind, "a")] == [word, word]
        assert len(await redis.kinds("a")) == 3
        assert (await redis.record("a"))["failures"] == (1 if kind == "fail" else 0)

    @pytest.mark.parametrize("kind", ["complete", "fail", "release"])
    async def test_an_old_attempt_ends_nothing(self, redis: Redis, kind: str) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.end("release", "a")
        await redis.claim("w1", 1)
        before = await redis.record("a")
        assert await redis.end(kind, "a", attempt=1) == b"lost"
        assert await redis.end(kind, "nobody") == b"lost"
        assert await redis.record("a") == before

    async def test_the_last_retry_or_a_hopeless_failure_ends_for_good(self, redis: Redis) -> None:
        await redis.submit("a", retries=0)
        await redis.submit("b")
        await redis.claim("w1", 2)
        assert await redis.end("fail", "a", body="boom") == b"failed"
        assert await redis.end("fail", "b", body="boom", again="0") == b"failed"
        assert (await redis.record("a"))["error"] == "boom"
        assert await redis.command("ZCARD", "ended") == 2

    async def test_ends_and_claims_in_one_step(self, redis: Redis) -> None:
        for job_id in "ab":
            await redis.submit(job_id)
        await redis.claim("w1", 1)
        words, rows = await redis.write("end_and_claim", "w1", "*", "*", 0, 0, 2, 1, "complete", "a", 1, "w1", "1", "")
        assert words == [b"completed"]
        assert [lease.job_id for lease in leases_of(rows)] == ["b"]

    @pytest.mark.usefixtures("reaped_before")
    async def test_a_late_end_is_accepted_while_nobody_has_claimed_the_job_since(self, redis: Redis) -> None:
        for job_id in "ab":
            await redis.submit(job_id)
        await redis.claim("w1", 2)
        for job_id in "ab":
            await redis.lapse(job_id)
        await redis.write("reap", 100)
        await redis.claim("w2", 1)
        assert await redis.end("complete", "a") == b"lost"
        assert await redis.end("complete", "b") == b"completed"
        assert await redis.ready() == []
        assert await redis.kinds("b") == ["submitted", "claimed", "lease_expired", "completed"]

    async def test_the_error_of_an_attempt_is_gone_after_a_success(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.end("fail", "a", body="boom")
        assert (await redis.record("a"))["error"] == "boom"
        await redis.command("ZADD", "delayed", 5, "a")
        await redis.claim("w1", 1)
        await redis.end("complete", "a", attempt=2)
        assert "error" not in await redis.record("a")


class TestRenewAndProgress:
    async def test_renew_moves_the_lease_of_its_holder_only(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.lapse("a")
        assert await redis.write("renew", 3, "a", 1, "w2", "a", 2, "w1", "b", 1, "w1") == [b"lost"] * 3
        assert await redis.command("ZSCORE", "leases", "a") == b"5"
        assert await redis.write("renew", 1, "a", 1, "w1") == [b"held"]
        assert int(await redis.command("ZSCORE", "leases", "a")) > 5

    async def test_progress_is_noted_told_and_renews(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.lapse("a")
        assert await redis.write("progress", "a", 1, "w1", "progress", "40", "processing", "nearly", "") == b"held"
        assert await redis.write("progress", "a", 1, "w2", "progress", "90", "processing", "", "") == b"lost"
        record = await redis.record("a")
        assert (record["progress"], record["status_message"]) == (40, "nearly")
        assert int(await redis.command("ZSCORE", "leases", "a")) > 5
        assert await redis.kinds("a") == ["submitted", "claimed", "progress"]

    @pytest.mark.parametrize("kind", ["log", "service_request"])
    async def test_what_an_attempt_says_again_is_told_once(self, redis: Redis, kind: str) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        for number in (1, 1, 3, 1, 3, 0):  # 0: not counted
            assert (
                await redis.write("progress", "a", 1, "w1", "progress", "40", "processing", "", "", number) == b"held"
            )
        assert await redis.kinds("a") == ["submitted", "claimed", *["progress"] * 3]
        for number in (4, 4):
            assert await redis.write("progress", "a", 1, "w1", kind, "", "info", "said", "", number) == b"held"
        entries = await redis.command("XRANGE", "events", "-", "+")
        assert [entry[1][1].decode() for entry in entries].count(kind) == 1
        await redis.end("release", "a")
        await redis.claim("w1", 1)
        assert await redis.write("progress", "a", 2, "w1", "progress", "40", "processing", "", "", 1) == b"held"
        assert (await redis.kinds("a"))[-1] == "progress"

    async def test_a_new_attempt_begins_without_the_old_ones_progress(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.write("progress", "a", 1, "w1", "progress", "40", "processing", "nearly", "")
        await redis.end("release", "a")
        await redis.claim("w1", 1)
        assert "progress" not in await redis.record("a")


class TestCancelAndRetry:
    @pytest.mark.parametrize("where", ["pending", "delayed", "claimed"])
    async def test_cancel_ends_a_job_wherever_it_is(self, redis: Redis, where: str) -> None:
        await redis.submit("a")
        if where != "pending":
            await redis.claim("w1", 1)
        if where == "delayed":
            await redis.end("fail", "a")
        assert (await redis.write("cancel", "a", "enough"))[0] == b"cancelled"
        for index in ("ready:s", "delayed", "leases"):
            assert await redis.command("EXISTS", index) == 0, index
        assert await redis.command("ZCARD", "cancelled") == 1
        assert await redis.command("LLEN", "signals:w1") == (1 if where == "claimed" else 0)
        before = await redis.kinds("a")
        assert (await redis.write("cancel", "a", "again"))[0] == b"cancelled"
        assert await redis.kinds("a") == before

    async def test_cancel_refuses_what_has_ended(self, redis: Redis) -> None:
        await redis.submit("a")
        await redis.claim("w1", 1)
        await redis.end("complete", "a")
        assert await redis.write("cancel", "a", "late") == [b"refused", b"completed"]
        assert await redis.write("cancel", "nobody", "x") == [b"missing"]

    async def test_retry_takes_failed_and_cancelled_jobs_only(self, redis: Redis) -> None:
        await redis.submit("a")
        assert await redis.write("retry", "a") == [b"refused", b"pending"]
        await redis.write("cancel", "a", "x")
        word, _, position = await redis.write("retry", "a")
        assert (word, position) == (b"retried", 1)
        assert await redis.command("ZRANGE", "ready:s", 0, -1, "WITHSCORES") == [b"fffffffffea", b"-1"]
        assert await redis.command("ZCARD", "ended") == 0
        assert "ended_at" not in await redis.record("a")
        assert await redis.kinds("a") == ["submitted", "cancelled", "retried"]

    async def test_a_job_retried_by_hand_may_go_to_the_worker_that_failed_it(self, redis: Redis) -> None:
        await redis.beat("w2")
        await redis.submit("a", retries=0)
        await redis.claim("w1", 1)
        await redis.end("fail", "a")
        await redis.write("retry", "a")
        assert len(await redis.claim("w1", 1)) == 1
