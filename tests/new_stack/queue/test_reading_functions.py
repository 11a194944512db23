"""Each function of the library that only reads: what it answers of what Redis holds."""

from __future__ import annotations

from unittest.mock import ANY

import pytest

from new_stack.queue import WorkerReport
from new_stack.queue import function_caller as library
from new_stack.queue.decoding import counts_of, job_of
from tests.new_stack.queue.conftest import Redis


class TestReading:
    async def test_count_and_position(self, redis: Redis) -> None:
        for job_id, priority in (("a", 0), ("b", 1), ("c", 0)):
            await redis.submit(job_id, priority)
        await redis.submit("x", service="other")
        places = [await redis.read("job", job_id, "") for job_id in ("a", "b", "c", "x")]
        assert [place for _, place, *_ in places] == [2, 1, 3, 1]
        assert await redis.read("job", "nobody", "") == []
        await redis.claim("w1", 1)
        await redis.end("fail", "b")
        counts = counts_of(await redis.read("count"))
        assert (counts.pending, counts.delayed, counts.urgent) == (4, 1, 0)
        assert (counts.claimed, counts.completed, counts.failed, counts.cancelled) == (0, 0, 0, 0)
        assert (counts.by_service, counts.unserved, counts.paused) == ({"s": 2, "other": 1}, {}, {})

    async def test_what_nobody_alive_serves_is_counted_with_its_time(self, redis: Redis) -> None:
        await redis.beat("w1", services="s")
        await redis.submit("a")
        await redis.submit("x", service="upscale")
        await redis.write("reap", 100)
        [(service, since)] = counts_of(await redis.read("count")).unserved.items()
        assert service == "upscale"
        told = [job_of((await redis.read("job", job_id, ""))[0]) for job_id in ("x", "a")]
        assert [job and job.unserved_since for job in told] == [since, None]
        await redis.beat("w2", services="upscale\nother")
        await redis.write("reap", 100)
        assert counts_of(await redis.read("count")).unserved == {}
        assert [lease.job_id for lease in await redis.claim("w2", 1, services="upscale\nother")] == ["x"]

    async def test_list_ends_its_work_when_it_has_looked_at_enough(self, redis: Redis) -> None:
        for index in range(5):
            await redis.submit(f"j{index}", service="odd" if index % 2 else "even")
        below, rows, looked_at = await redis.listed("+inf", 10, 2, 10**6, service_required="odd")
        assert (below, [row[0] for row in rows], looked_at) == (b"4", [b"j3"], 2)
        below, rows, _ = await redis.listed("4", 10, 100, 10**6, service_required="odd")
        assert (below, [row[0] for row in rows]) == (b"", [b"j1"])
        below, rows, _ = await redis.listed("+inf", 10, 100, 1)
        assert (below, [row[0] for row in rows]) == (b"5", [b"j4"])

    @pytest.mark.parametrize("many", [False, True])
    async def test_list_finds_each_state_newest_first_among_few_and_among_many(
        self, redis: Redis, *, many: bool
    ) -> None:
        for index in range(1100 if many else 4):
            await redis.submit(f"j{index:04}", priority=index % 3)
        claimed = sorted(
            (lease.job_id.encode() for lease in await redis.claim("w1", 1050 if many else 2)), reverse=True
        )
        _, rows, _ = await redis.listed("+inf", 10, 10_000, 10**9, state="claimed")
        assert [row[0] for row in rows] == claimed[:10]
        _, rows, _ = await redis.listed("+inf", 10_000, 10_000, 10**9, state="pending")
        found = [row[0] for row in rows]
        assert found == sorted(found, reverse=True)
        assert len(found) == (50 if many else 2)

    async def test_workers_and_heartbeats(self, redis: Redis) -> None:
        report = '{"worker_id":"w1"}'
        assert [await redis.beat(name, report=report) for name in ("w0", "w0", "w1")] == [1, 1, 2]
        for name in ("w0", "w1"):
            await redis.write("unregister", name)
        before = await redis.caller.connection.call("KEYS", f"{redis.prefix}*")
        assert await redis.beat("w1", report=report) == 1
        assert await redis.read("workers", "0", 100) == [b"0", [[b"w1", report.encode(), ANY, ANY, b"1", b""]]]
        await redis.command("ZADD", "workers", 5, "w1")
        _, [row] = await redis.read("workers", "0", 100)
        assert row[4] == b"0"
        assert await redis.write("unregister", "w1") == b"ok"
        left = await redis.caller.connection.call("KEYS", f"{redis.prefix}*")
        assert sorted(left) == sorted(before)

    async def test_version(self, redis: Redis) -> None:
        assert await redis.read("version") == library.VERSION


async def test_another_prefix_sees_nothing(redis: Redis, connect) -> None:
    other = await connect(prefix=f"{redis.prefix}other:")
    await redis.submit("a")
    await redis.beat("w1")
    assert await other.claim("w1") == []
    assert await other.workers() == []
    assert await other.job("a") is None
    await other.heartbeat(WorkerReport(worker_id="w2"))
    assert len(await other.workers()) == 1
