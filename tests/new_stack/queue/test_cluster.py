"""With a hash tag as prefix, all keys are in one slot of a cluster, and the queue finds the node that has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from new_stack.queue import Completed, NewJob, Queue, QueueSettings, QueueUnavailable, SettingsError, WorkerReport
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.queue.clusters import SLOTS, cluster_of
from tests.new_stack.queue.conftest import connection_to


@pytest.fixture
async def cluster() -> AsyncIterator[list[ValkeyProcess]]:
    """Two nodes that share the slots half and half."""
    async with cluster_of([(0, SLOTS // 2 - 1), (SLOTS // 2, SLOTS - 1)]) as nodes:
        yield nodes


@pytest.mark.parametrize("asked", [0, 1])
async def test_whichever_node_is_asked_the_jobs_are_on_the_one_that_has_the_slot(cluster, asked: int) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=cluster[asked].url, prefix="{emp}:"))
    await queue.heartbeat(WorkerReport(worker_id="w1"))
    assert await queue.wait_and_claim("w1", 1, timeout_ms=5000) == ([], None)  # from here on it counts as idle
    waiting = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=5000))
    await queue.submit(NewJob(id="a"))
    [lease], _ = await waiting
    assert await queue.end(Completed(lease=lease)) == "completed"
    assert len(await queue.history("a")) == 3
    assert await queue.wait_and_claim("w1", 1, timeout_ms=5000) == ([], None)  # idle again
    broken_off = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=60_000))
    await asyncio.sleep(0.1)
    broken_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await broken_off
    await queue.close()


async def test_a_node_that_is_gone_sends_us_back_to_the_one_we_know(cluster) -> None:
    connections = [connection_to(node.url) for node in cluster]
    slot = await connections[0].call("CLUSTER", "KEYSLOT", "{emp}:")
    there = 0 if slot < SLOTS // 2 else 1
    queue = await Queue.connect(QueueSettings(redis_url=cluster[1 - there].url, prefix="{emp}:"))
    cluster[there].kill()
    await asyncio.sleep(0.05)
    with pytest.raises(QueueUnavailable) as raised:
        await queue.submit(NewJob(id="a"))
    assert f":{cluster[there].port} cannot be reached" in raised.value.detail
    await connections[1 - there].call("PING")
    cluster[there].start()
    async with asyncio.timeout(30):
        while True:
            try:
                await queue.submit(NewJob(id="a"))
                break
            except QueueUnavailable:
                await asyncio.sleep(0.2)
    assert (await queue.job("a")).position == 1
    await queue.close()


async def test_a_prefix_without_a_hash_tag_is_told_at_the_start(cluster) -> None:
    with pytest.raises(SettingsError, match="hash tag"):
        await Queue.connect(QueueSettings(redis_url=cluster[0].url, prefix="emp:"))


async def test_a_slot_that_moves_is_unavailable_for_now_and_then_followed(cluster) -> None:
    nodes = [connection_to(node.url) for node in cluster]
    slot = await nodes[0].call("CLUSTER", "KEYSLOT", "{emp}:")
    old = 0 if slot < SLOTS // 2 else 1
    new = 1 - old
    names = [(await node.call("CLUSTER", "MYID")).decode() for node in nodes]
    queue = await Queue.connect(QueueSettings(redis_url=cluster[old].url, prefix="{emp}:"))
    await nodes[new].call("CLUSTER", "SETSLOT", slot, "IMPORTING", names[old])
    await nodes[old].call("CLUSTER", "SETSLOT", slot, "MIGRATING", names[new])
    with pytest.raises(QueueUnavailable) as raised:
        await queue.submit(NewJob(id="a"))
    assert "ASK" in raised.value.detail
    assert str(raised.value) == "Redis refused for now: another node of the cluster has the keys"
    for node in (nodes[new], nodes[old]):
        await node.call("CLUSTER", "SETSLOT", slot, "NODE", names[new])
    async with asyncio.timeout(10):
        while True:
            try:
                await queue.submit(NewJob(id="a"))
                break
            except QueueUnavailable:
                await asyncio.sleep(0.05)
    assert await nodes[new].call("EXISTS", "{emp}:record:a") == 1
    await queue.close()


async def test_another_node_is_asked_where_the_first_is_gone(cluster) -> None:
    nodes = [connection_to(node.url) for node in cluster]
    slot = await nodes[0].call("CLUSTER", "KEYSLOT", "{emp}:")
    without = 0 if slot >= SLOTS // 2 else 1
    cluster[without].kill()
    hosts = ",".join(f"127.0.0.1:{cluster[node].port}" for node in (without, 1 - without))
    await nodes[1 - without].call("CONFIG", "SET", "cluster-require-full-coverage", "no")
    queue = await Queue.connect(QueueSettings(redis_url=f"redis://{hosts}", prefix="{emp}:"))
    assert (await queue.submit(NewJob(id="a"))).created
    await queue.close()
