"""What the queue costs Redis: commands a job, memory a waiting and an ended job, time with ten thousand workers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from statistics import quantiles
from typing import Any

import msgspec
import pytest

from harness.testing.waiting import until
from new_stack.queue import Completed, Lease, NewJob, ProgressUpdate, Queue, QueueSettings, WorkerReport
from tests.new_stack.conftest import ValkeyProcess

JOBS = 400
WAITING = 20_000
ENDED = 5_000
WORKERS = 10_000
COMMANDS_A_JOB = 24
BYTES_A_JOB = 1_300
"""260 MB for 200,000 waiting jobs of 200 B."""
PAYLOAD = msgspec.Raw(b'{"text":"%b"}' % (b"x" * 189))
assert len(bytes(PAYLOAD)) == 200
CALL_US = 2_000


@pytest.fixture
async def lone(own_valkey: ValkeyProcess) -> AsyncIterator[Queue]:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url))
    yield queue
    await queue.close()


async def command(queue: Queue, *words: Any) -> Any:
    return await queue._caller.connection.call(*words)


async def commands(queue: Queue) -> int:
    """Commands that Redis has carried out so far, those inside functions counted too."""
    lines = (await command(queue, "INFO", "commandstats")).decode().splitlines()
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines if line.startswith("cmdstat_"))


async def carried_out(queue: Queue, name: str) -> int:
    """How often Redis has carried out one command, inside functions and outside."""
    found = re.search(rf"cmdstat_{name}:calls=(\d+)", (await command(queue, "INFO", "commandstats")).decode())
    return int(found[1]) if found else 0


async def fact(queue: Queue, section: str, name: str) -> int:
    lines = (await command(queue, "INFO", section)).decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith(f"{name}:"))


@pytest.mark.parametrize("forgotten_by", ["reap", "drop"])
async def test_large_values_are_unlinked_when_their_job_is_forgotten(lone: Queue, forgotten_by: str) -> None:
    """Redis frees what it unlinks in a thread of its own; a deletion of a large value would hold up everybody."""
    large = msgspec.Raw(b'{"text":"%b"}' % (b"x" * 1_000_000))
    await lone.submit(NewJob(id="a", payload=large))
    [lease] = await lone.claim("w1")
    for number in range(1, 300):
        await lone.progress(lease, ProgressUpdate(progress=number / 3, number=number))
    await lone.end(Completed(lease=lease, result=large))
    kept = [f"{kind}:a" for kind in ("record", "payload", "result", "events")]
    assert await command(lone, "EXISTS", *kept) == len(kept)
    deleted, unlinked = await carried_out(lone, "del"), await carried_out(lone, "unlink")
    if forgotten_by == "drop":
        await lone.drop("a")
    else:
        await command(lone, "ZADD", "ended", 5, "a")
        await lone.reap()
    assert await command(lone, "EXISTS", *kept) == 0
    assert await carried_out(lone, "unlink") == unlinked + 1
    assert await carried_out(lone, "del") == deleted


async def test_a_job_costs_at_most_24_commands_from_its_submission_to_its_end(lone: Queue) -> None:
    await lone.heartbeat(WorkerReport(worker_id="w1"))
    before = await commands(lone)
    await lone.submit_many([NewJob(service_required="s") for _ in range(JOBS)])
    leases = await lone.claim("w1")
    while leases:
        _, leases = await lone.end_and_claim("w1", [Completed(lease=leases[0])], 1)
    assert (await lone.counts()).completed == JOBS
    assert await commands(lone) - before <= COMMANDS_A_JOB * JOBS + 50  # what a call of any size costs


async def test_jobs_that_are_claimed_and_ended_by_ten_cost_at_most_15_commands_each(lone: Queue) -> None:
    """Beside another worker that is alive: how many there are is asked once a claim."""
    for worker_id in ("w1", "w2"):
        await lone.heartbeat(WorkerReport(worker_id=worker_id))
    before = await commands(lone)
    await lone.submit_many([NewJob(service_required="s") for _ in range(JOBS)])
    leases: list[Lease] = []
    ended = 0
    while ended < JOBS:
        ends = [Completed(lease=lease) for lease in leases]
        _, leases = await lone.end_and_claim("w1", ends, 10, idle_ms=1_000)
        ended += len(ends)
    assert await commands(lone) - before <= 15 * JOBS


async def test_a_claim_of_many_looks_at_the_ready_jobs_a_few_times(lone: Queue) -> None:
    await lone.submit_many([NewJob(service_required="s") for _ in range(JOBS)])
    before = await carried_out(lone, "zrange")
    assert len(await lone.claim("w1", 64)) == 64
    assert await carried_out(lone, "zrange") - before <= 10


async def test_a_waiting_job_of_200_bytes_takes_at_most_1300(lone: Queue) -> None:
    before = await fact(lone, "memory", "used_memory")
    for _ in range(WAITING // 1_000):
        await lone.submit_many([NewJob(service_required="s", payload=PAYLOAD) for _ in range(1_000)])
    used = await fact(lone, "memory", "used_memory") - before
    assert used / WAITING <= BYTES_A_JOB


async def test_an_ended_job_takes_at_most_1300_once_its_events_are_gone(own_valkey: ValkeyProcess) -> None:
    """Jobs that told progress, so that each had a stream of its own. The stream of all events is bounded apart."""
    settings = QueueSettings(redis_url=own_valkey.url, events_ttl_ms=3_000, events_stream_length=1)
    queue = await Queue.connect(settings)
    before = await fact(queue, "memory", "used_memory")
    streams: list[str] = []
    for _ in range(ENDED // 500):
        await queue.submit_many([NewJob(service_required="s", payload=PAYLOAD) for _ in range(500)])
        leases = await queue.claim("w1", 500)
        await asyncio.gather(*(queue.progress(lease, ProgressUpdate(progress=50, message="half")) for lease in leases))
        await queue.end_and_claim("w1", [Completed(lease=lease, result=PAYLOAD) for lease in leases], 0)
        streams += [queue._caller.key("events:" + lease.job_id) for lease in leases]
        assert await command(queue, "EXISTS", streams[-1])

    async def gone() -> bool:
        return not await command(queue, "EXISTS", *streams)

    await until(gone, within=50)
    assert (await queue.counts()).completed == ENDED
    used = await fact(queue, "memory", "used_memory") - before
    assert used / ENDED <= BYTES_A_JOB
    await queue.close()


async def test_ten_thousand_workers_are_listed_and_reaped_in_calls_of_at_most_2_ms(lone: Queue) -> None:
    """By Redis's own clock, the lower quartile of many calls: other programs of the machine may hold one of them up."""
    for first in range(0, WORKERS, 500):
        reports = (WorkerReport(worker_id=f"w{first + number}") for number in range(500))
        await asyncio.gather(*(lone.heartbeat(report) for report in reports))
    await command(lone, "CONFIG", "SET", "slowlog-max-len", 1_000)
    await command(lone, "CONFIG", "SET", "slowlog-log-slower-than", 0)
    for _ in range(20):
        await lone.reap()
    assert len(await lone.workers()) == WORKERS
    took: dict[bytes, list[int]] = {}
    for _, _, us, words, *_ in await command(lone, "SLOWLOG", "GET", 1_000):
        if words[0] in {b"FCALL", b"FCALL_RO"}:
            took.setdefault(words[1], []).append(us)
    assert quantiles(took[b"hubgate_reap"])[0] <= CALL_US
    assert quantiles(took[b"hubgate_workers"])[0] <= CALL_US
