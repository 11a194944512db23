"""What happened over time: counted exactly, kept in bounded slots, with quantiles that add up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from new_stack.queue import Claimant, Completed, Failed, NewJob, Queue, QueueSettings
from new_stack.queue.timeseries import RANGES, Series, Sketch, read_slot
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.queue.conftest import Redis

HOUR = RANGES["1h"]
WIDTH = 2 ** (1 / 16)
"""How far the middle of a bucket of the finest level is from its ends, as a ratio."""


async def only(queue: Queue, **wanted: Any) -> Series:
    [series] = (await queue.timeseries(HOUR, **wanted)).series
    return series


def counts_of(series: Series) -> tuple[int, int, int, int]:
    total = series.total
    return (total.submitted, total.completed, total.failed, total.cancelled)


async def run(queue: Queue, service: str, *, jobs: int) -> None:
    """Some jobs of a service: each fifth fails for good, each seventh is cancelled, the others are completed."""
    answers = await queue.submit_many([NewJob(service_required=service, max_retries=0) for _ in range(jobs)])
    for number, lease in enumerate(await queue.claim(Claimant(worker_id="w", services=(service,)), jobs)):
        if number % 7 == 6:
            await queue.cancel(lease.job_id)
        else:
            await queue.end(Failed(lease=lease, error="no") if number % 5 == 4 else Completed(lease=lease))
    assert len(answers) == jobs


async def test_what_happens_is_counted_at_once_by_service(queue: Queue) -> None:
    await run(queue, "draw", jobs=35)
    await run(queue, "cut", jobs=7)
    await queue.submit_many([NewJob(service_required="cut")] * 2)
    found = {series.service: series for series in (await queue.timeseries(HOUR, by_service=True)).series}
    assert {name: counts_of(series) for name, series in found.items()} == {"draw": (35, 24, 6, 5), "cut": (9, 5, 1, 1)}
    assert found["draw"].total.wait_ms.count == 35
    assert found["draw"].total.run_ms.count == 35
    assert (found["cut"].total.wait_ms.count, found["cut"].points[-1].waiting) == (7, 2)
    assert counts_of(await only(queue)) == (44, 29, 7, 6)
    assert counts_of(await only(queue, service="cut")) == (9, 5, 1, 1)


async def test_more_than_a_byte_holds_are_counted_in_one_call(queue: Queue) -> None:
    await queue.submit_many([NewJob() for _ in range(600)])
    leases = await queue.claim("w", 600)
    await queue.end_and_claim("w", [Completed(lease=lease) for lease in leases], 0)
    series = await only(queue)
    assert counts_of(series) == (600, 600, 0, 0)
    assert (series.total.wait_ms.count, series.total.run_ms.count) == (600, 600)


async def test_a_job_is_counted_once_however_often_it_runs(queue: Queue) -> None:
    job = (await queue.submit(NewJob(retry_policy=None, max_retries=1))).job_id
    [lease] = await queue.claim("w")
    await queue.end(Failed(lease=lease, error="first"))
    assert counts_of(await only(queue)) == (1, 0, 0, 0)
    await queue.cancel(job)
    series = await only(queue)
    assert counts_of(series) == (1, 0, 0, 1)
    assert (series.total.wait_ms.count, series.total.run_ms.count) == (1, 0)  # nobody ran it when it was cancelled


async def test_a_minute_that_is_over_is_folded_and_says_the_same(queue: Queue, redis: Redis) -> None:
    await run(queue, "draw", jobs=35)
    before = await only(queue)
    await age(redis, 60)
    await queue.reap()
    assert await redis.command("ZCARD", "tallies") == 0
    after = await only(queue)
    assert msgspec.structs.replace(after.total, at=0) == msgspec.structs.replace(before.total, at=0)
    for name in ("24h", "7d"):
        [series] = (await queue.timeseries(RANGES[name])).series
        assert counts_of(series) == counts_of(after)
    await queue.submit(NewJob(service_required="draw"))
    assert counts_of(await only(queue))[0] == 36


async def age(redis: Redis, seconds: int) -> None:
    """Put the tallies of now into an earlier minute."""
    for minute in await redis.command("ZRANGE", "tallies", 0, -1):
        earlier = int(minute) - seconds // 60
        key = redis.prefix + f"tally:{earlier}"
        await redis.command("RENAME", f"tally:{int(minute)}", key)
        await redis.command("ZADD", "tallies", earlier, earlier)
        await redis.command("ZREM", "tallies", minute)


async def test_a_long_tally_is_folded_before_its_minute_is_over(queue: Queue, redis: Redis) -> None:
    for _ in range(60):
        await queue.submit_many([NewJob(service_required=f"service-{number}") for number in range(200)])
    sizes = [
        await redis.command("STRLEN", f"tally:{int(one)}") for one in await redis.command("ZRANGE", "tallies", 0, -1)
    ]
    assert sum(sizes) <= 16_384 + 200 * 17
    assert counts_of(await only(queue))[0] == 12_000


@pytest.mark.parametrize(
    "tally",
    [
        b"somebody else's",
        b"simulation\n\x01\x07\x05\x00\x00",
        msgspec.msgpack.encode({"draw": {"1": 1}}),
        msgspec.msgpack.encode({"draw": {6 * 256 + 255: 1}}),
        msgspec.msgpack.encode({"draw": {256 + 255: -1}}),
        None,
    ],
    ids=["text", "pairs of bytes", "a key that is text", "a kind that is none", "fewer than none", "a list"],
)
async def test_a_tally_that_nothing_can_read_is_dropped(queue: Queue, redis: Redis, tally: bytes | None) -> None:
    await redis.command(*(("SET", "tally:1000", tally) if tally is not None else ("RPUSH", "tally:1000", "x")))
    await redis.command("ZADD", "tallies", 1000, 1000)
    await queue.timeseries(HOUR)
    await run(queue, "draw", jobs=7)
    await queue.reap()
    assert await redis.command("EXISTS", "tally:1000") == 0
    assert counts_of(await only(queue)) == (7, 5, 1, 1)


@pytest.mark.parametrize(
    "slot",
    [
        b"somebody else's",
        b"draw\n",
        b"draw\n\x05\x00",
        b"draw\n\x04\x00\x00\x00\x00\x00\x00",
        b"draw\n\x05\x00\x00\x00\x00\x00\x03\x00\x01\x00\x00",
        b"draw\n\x05\x00\x00\x00\x00\x00\x03\x00\xff\xff\xff\xff\x7f\x01\x00",
        b"draw\n\x05\x00\x00\x00\x00\x00\x03" + b"\xff" * 40 + b"\x7f\x01\x01\x00",
        b"draw\n\x05" + b"\xff" * 400 + b"\x7f\x00\x00\x00\x00\x00\x00",
        None,
    ],
    ids=[
        "text",
        "no lists",
        "cut",
        "four counts",
        "a gap that is none",
        "no such bucket",
        "no such level",
        "no number",
        "a list",
    ],
)
async def test_a_slot_that_nothing_can_read_begins_anew(queue: Queue, redis: Redis, slot: bytes | None) -> None:
    await run(queue, "draw", jobs=7)
    await age(redis, 60)
    [minute] = map(int, await redis.command("ZRANGE", "tallies", 0, -1))
    for seconds in (60, 600, 3600):
        key = f"slot:{seconds}:{minute * 60 // seconds}"
        await redis.command(*(("SET", key, slot) if slot is not None else ("RPUSH", key, "x")))
    assert counts_of(await only(queue)) == (7, 5, 1, 1)
    await queue.reap()
    assert await redis.command("ZCARD", "tallies") == 0
    for name in ("1h", "24h", "7d"):
        [series] = (await queue.timeseries(RANGES[name])).series
        assert counts_of(series) == (7, 5, 1, 1)


async def test_invented_services_are_kept_together(queue: Queue, redis: Redis) -> None:
    await queue.submit_many([NewJob(service_required=f"service-{number}") for number in range(500)])
    await age(redis, 60)
    await queue.reap()
    found = (await queue.timeseries(HOUR, by_service=True)).series
    assert sum(series.total.submitted for series in found if series.total.submitted) == 500
    in_slots = [series for series in found if series.total.submitted]
    assert len(in_slots) == 51


async def test_the_backlog_is_sampled_once_a_minute(queue: Queue, redis: Redis) -> None:
    await queue.submit_many([NewJob(service_required="draw")] * 3)
    await redis.command("DEL", "sampled")  # what this minute already has: the fixture has reaped
    await queue.reap()
    await queue.claim("w", 3)
    series = await only(queue)
    assert [point.waiting for point in series.points] == [3, 0]
    assert series.total.waiting == 3


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_near_the_true_one(values: list[int], share: float) -> None:
    sketch = Sketch()
    for value in values:
        sketch.count(bucket_of(value))
    rank = max(1, -int(-share * len(values) // 1))
    true = sorted(values)[rank - 1]
    assert (sketch.quantile(share) or 0) == pytest.approx(true, rel=WIDTH - 1 + 0.002, abs=1)


def bucket_of(ms: int) -> int:
    """As the functions count it."""
    return 0 if ms < 1 else next(at for at in range(1, 1_000) if ms < 2 ** (at / 8))


async def test_sketches_add_up_to_that_of_everything(queue: Queue, redis: Redis) -> None:
    """Slots are folded from many tallies, and so coarse as they have to be: still within the width of their level."""
    chance = random.Random(1)
    waits = [int(chance.lognormvariate(6, 1)) for _ in range(3_000)]
    for first in range(0, 3_000, 100):
        counted = Counter(5 * 256 + bucket_of(ms) for ms in waits[first : first + 100])
        await redis.command("SET", "tally:1000", msgspec.msgpack.encode({"s": counted}))
        await redis.command("ZADD", "tallies", 1000, 1000)
        await queue.reap()
    sketch = read_slot(await redis.command("GET", "slot:60:1000"))["s"].wait
    assert (sketch.total, sketch.level <= 1) == (3_000, True)
    for share in (0.5, 0.95, 0.99):
        true = sorted(waits)[int(share * 3_000) - 1]
        assert sketch.quantile(share) == pytest.approx(true, rel=2 ** (2**sketch.level / 16) - 1 + 0.01)


def test_levels_halve_the_buckets() -> None:
    fine, coarse = Sketch([0, 80, 1, 2, 3, 4]), Sketch([2, 20, 10])
    fine.add(coarse)
    assert (fine.level, fine.counts, fine.total) == (2, {20: 20}, 20)
    assert Counter(Sketch([0, 8, 5, 0, 3, 2]).counts) == {8: 5, 12: 2}
    assert Sketch().quantile(0.5) is None


async def test_ten_services_and_ninety_days_take_at_most_20_mb(
    own_valkey: ValkeyProcess, record_property: Callable[[str, object], None]
) -> None:
    """Every slot as large as it can be."""
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url))
    call = queue._caller.connection.call
    for minute, buckets in ((0, 56), (6_000, 68)):
        await call("SET", f"tally:{minute}", b"".join(tally_of(f"service-{name:02}", buckets) for name in range(10)))
        await call("ZADD", "tallies", minute, minute)
    await queue.reap()
    kept = {"slot:60:0": 7 * 86_400, "slot:600:600": 2 * 86_400, "slot:3600:100": 90 * 86_400}
    slots = {key: await call("GET", key) for key in kept}
    await call("FLUSHALL")
    before = await used(queue)
    for key, kept_s in kept.items():
        seconds = int(key.split(":")[1])
        names = [f"slot:{seconds}:{29_000_000 + number}" for number in range(kept_s // seconds)]
        for first in range(0, len(names), 500):
            await asyncio.gather(*(call("SET", name, slots[key], "EX", kept_s) for name in names[first : first + 500]))
    size = await used(queue) - before
    await queue.close()
    record_property("bytes", size)
    assert {key: read_slot(slot)["service-00"].wait.level for key, slot in slots.items()} == dict.fromkeys(slots, 0)
    assert size <= 20_000_000


def tally_of(service: str, buckets: int) -> bytes:
    """A busy minute, with waits and runs in so many buckets."""
    counts = {what * 256 + 255: 25_500 for what in (1, 2, 3, 4)}
    times = {what * 256 + 100 + bucket: 100 for bucket in range(buckets) for what in (2, 5)}
    return msgspec.msgpack.encode({service: counts | times})


async def used(queue: Queue) -> int:
    lines = (await queue._caller.connection.call("INFO", "memory")).decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("used_memory:"))
