"""A worker gets the jobs of the services that it serves: in their order, its share of them, and at a constant cost."""

from __future__ import annotations

import asyncio

import pytest

from new_stack.queue import Claimant, Completed, Lease, NewJob, Queue, QueueSettings, WorkerReport
from tests.new_stack.conftest import ValkeyProcess

AHEAD = 200_000
SERVICES = 200


async def waiting(queue: Queue, worker_ids: list[str], places: int) -> list[asyncio.Task[list[Lease]]]:
    """Workers that wait for jobs, each with so many free places, all of them known as idle."""

    async def work(worker_id: str) -> list[Lease]:
        leases, _ = await queue.wait_and_claim(worker_id, places, timeout_ms=1)
        assert leases == []
        leases, _ = await queue.wait_and_claim(worker_id, places, timeout_ms=5_000)
        return leases

    for worker_id in worker_ids:
        await queue.heartbeat(WorkerReport(worker_id=worker_id))
    tasks = [asyncio.create_task(work(worker_id)) for worker_id in worker_ids]
    idle = queue._caller.key("idle:*")
    async with asyncio.timeout(5):
        while await queue._caller.connection.call("ZCARD", idle) < len(worker_ids):
            await asyncio.sleep(0.005)
    return tasks


@pytest.mark.parametrize("at_once", [True, False])
async def test_four_workers_with_four_free_places_and_four_jobs_get_one_each(queue: Queue, at_once: bool) -> None:
    tasks = await waiting(queue, ["w1", "w2", "w3", "w4"], 4)
    jobs = [NewJob(id=f"j{number}", service_required="draw") for number in range(4)]
    if at_once:
        await queue.submit_many(jobs)
    else:
        for job in jobs:
            await queue.submit(job)
    async with asyncio.timeout(10):
        got = await asyncio.gather(*tasks)
    assert [len(leases) for leases in got] == [1, 1, 1, 1]


FILL = """
for n = 1, tonumber(ARGV[1]) do
  local service = 'other-' .. n % ARGV[2]
  redis.call('ZADD', KEYS[1] .. ':' .. service, 9 * 2^40 - n, string.format('%010x', 2^40 - 1 - n) .. 'o' .. n)
  redis.call('ZADD', KEYS[1], 9 * 2^40 - 1, service)
end
redis.call('INCRBY', ARGV[3], ARGV[1])
"""
"""Puts waiting jobs into the line, without their records: to submit so many would take a minute."""


async def commands_and_us(queue: Queue, claimant: Claimant, priority: int, turns: int = 50) -> tuple[float, float]:
    """What one claim and end of it takes: Redis's commands, and the µs that Redis itself says its function took."""
    await queue.submit_many([NewJob(service_required="mine", priority=priority)] * (turns + 1))
    [lease] = await queue.claim(claimant)
    connection = queue._caller.connection
    await connection.call("CONFIG", "RESETSTAT")
    for _ in range(turns):
        _, [lease] = await queue.end_and_claim(claimant, [Completed(lease=lease)], 1)
    stats = (await connection.call("INFO", "commandstats")).decode().splitlines()
    rows = dict(line.partition(":")[::2] for line in stats if line.startswith("cmdstat_"))
    figures = {name: dict(part.split("=") for part in row.split(",")) for name, row in rows.items()}
    calls = sum(int(row["calls"]) for name, row in figures.items() if name != "cmdstat_config|resetstat")
    await queue.end(Completed(lease=lease))
    return calls / turns, float(figures["cmdstat_fcall"]["usec_per_call"])


@pytest.mark.parametrize(
    ("served", "priority"), [(("mine",), 0), (("*",), 10)], ids=["by name, behind them all", "all, before them"]
)
async def test_a_claim_costs_the_same_however_many_other_services_wait(
    own_valkey: ValkeyProcess, served: tuple[str, ...], priority: int
) -> None:
    costs = {}
    for prefix, ahead in (("alone:", 0), ("crowded:", AHEAD)):
        queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, prefix=prefix))
        if ahead:
            call = ("EVAL", FILL, 1, f"{prefix}ready", ahead, SERVICES, f"{prefix}sequence")
            await queue._caller.connection.call(*call, patience=60)
        costs[prefix] = await commands_and_us(queue, Claimant(worker_id="w", services=served), priority)
        await queue.close()
    (plain_commands, plain_us), (commands, us) = costs.values()
    assert commands == pytest.approx(plain_commands, abs=0.2)
    assert us < 10 * plain_us, "a machine at work doubles a time; a look at every job is a thousand times"
