"""With a hash tag as prefix, all keys are in one slot of a cluster, and the queue finds the node that has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from harness.processes import free_port
from new_stack.queue import Completed, NewJob, Queue, QueueSettings, QueueUnavailable
from new_stack.queue.connection import Address, Connection
from tests.new_stack.conftest import ValkeyProcess

SLOTS = 16384


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[ValkeyProcess, ValkeyProcess]]:
    """Two nodes that share the slots half and half."""
    nodes = [ValkeyProcess("--cluster-enabled", "yes", "--cluster-port", str(free_port())) for _ in range(2)]
    try:
        for node in nodes:
            node.start()
        connections = [Connection(Address.parse(node.url), timeout=5) for node in nodes]
        for connection, start in zip(connections, (0, SLOTS // 2), strict=True):
            await connection.call("CLUSTER", "ADDSLOTSRANGE", start, start + SLOTS // 2 - 1)
        await connections[0].call("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, nodes[1].options[-1])
        async with asyncio.timeout(30):
            for connection in connections:
                while b"cluster_state:ok" not in await connection.call("CLUSTER", "INFO"):
                    await asyncio.sleep(0.1)
        yield nodes[0], nodes[1]
    finally:
        for node in nodes:
            node.remove()


@pytest.mark.parametrize("asked", [0, 1])
async def test_whichever_node_is_asked_the_jobs_are_on_the_one_that_has_the_slot(cluster, asked: int) -> None:
    queue = await Queue.connect(QueueSettings(redis_url=cluster[asked].url, prefix="{emp}:"))
    waiting = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=5000))
    await asyncio.sleep(0.2)
    await queue.submit(NewJob(id="a"))
    [lease], _ = await waiting
    assert await queue.end(Completed(lease=lease)) == "completed"
    assert len(await queue.history("a")) == 3
    broken_off = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=60_000))
    await asyncio.sleep(0.1)
    broken_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await broken_off
    await queue.close()


async def test_a_node_that_is_gone_sends_us_back_to_the_one_we_know(cluster) -> None:
    connections = [Connection(Address.parse(node.url), timeout=5) for node in cluster]
    slot = await connections[0].call("CLUSTER", "KEYSLOT", "{emp}:")
    there = 0 if slot < SLOTS // 2 else 1
    queue = await Queue.connect(QueueSettings(redis_url=cluster[1 - there].url, prefix="{emp}:"))
    cluster[there].kill()
    await asyncio.sleep(0.05)
    with pytest.raises(QueueUnavailable, match=f":{cluster[there].port} cannot be reached"):
        await queue.submit(NewJob(id="a"))
    await connections[1 - there].call("PING")
    cluster[there].start()
    async with asyncio.timeout(30):
        while True:
            try:
                await queue.submit(NewJob(id="a"))
                break
            except QueueUnavailable:
                await asyncio.sleep(0.2)
    assert await queue.position("a") == 1
    await queue.close()
