"""A cluster fails over to a replica, and its nodes name one another: the queue follows to the one that has the keys."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator

import pytest
import redis
from redis.crc import key_slot
from redis.exceptions import MovedError

from harness.testing.waiting import until
from new_stack.queue import Completed, NewJob, Queue, QueueSettings, QueueUnavailable
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.queue.clusters import SLOTS, cluster_of
from tests.new_stack.queue.conftest import connection_to
from tests.new_stack.queue.test_failover import able

PREFIX = "{emp}:"
ELSEWHERE = "Redis refused for now: another node of the cluster has the keys"
SLOT = key_slot(PREFIX.encode())
LONG_MS = 60_000


def facts(node: ValkeyProcess) -> dict[str, object]:
    with redis.Redis(port=node.port) as client:
        return dict(client.info("replication"))


def has_the_same(primary: ValkeyProcess, replica: ValkeyProcess) -> bool:
    there = facts(replica)
    return there["master_link_status"] == "up" and facts(primary)["master_repl_offset"] == there["slave_repl_offset"]


@pytest.fixture
async def replicated() -> AsyncIterator[list[ValkeyProcess]]:
    """The primary that has the slot, its replica, and two more primaries, which elect: Debian's Redis."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server")
    options = ("--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0", "--appendonly", "yes")
    shares = [(SLOT, SLOTS - 1), None, (0, 0), (1, SLOT - 1)]
    async with cluster_of(shares, *options, program=program) as nodes:
        name = await connection_to(nodes[0].url).call("CLUSTER", "MYID")
        await connection_to(nodes[1].url).call("CLUSTER", "REPLICATE", name)
        for connection in (connection_to(node.url) for node in nodes):  # who has not heard of it would not vote for it
            while len(await connection.call("CLUSTER", "REPLICAS", name)) != 1:
                await asyncio.sleep(0.1)
        await until(lambda: facts(nodes[1])["role"] == "slave" and has_the_same(*nodes[:2]), 30)
        yield nodes


def sends_to(node: ValkeyProcess) -> int:
    """The port of the node at which this one says that the keys are."""
    with redis.Redis(port=node.port) as client:
        try:
            client.exists(f"{PREFIX}record:a")
        except MovedError as moved:
            return int(moved.port)
        return node.port


def all_of(nodes: list[ValkeyProcess]) -> str:
    return f"redis://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"


async def test_the_replica_that_the_others_elect_is_followed(replicated: list[ValkeyProcess]) -> None:
    primary, replica = replicated[:2]
    queue = await Queue.connect(
        QueueSettings(redis_url=all_of(replicated), prefix=PREFIX, call_timeout_ms=1_000, lease_ms=LONG_MS)
    )
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    assert await queue.wait_and_claim("w1", 1, timeout_ms=5_000) == ([], None)  # from here on it counts as idle
    waiting = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=5_000))
    await asyncio.sleep(0)
    await until(lambda: has_the_same(primary, replica), 10)
    primary.kill()
    with pytest.raises(QueueUnavailable):
        await waiting
    assert await able(lambda: queue.renew([lease]), 30) == ["held"]
    assert await queue.end(Completed(lease=lease)) == "completed"
    assert (await queue.submit(NewJob(id="b"))).created
    primary.start()  # and is a replica from here on
    await until(lambda: facts(primary)["role"] == "slave" and has_the_same(replica, primary), 30)
    late = await Queue.connect(QueueSettings(redis_url=primary.url, prefix=PREFIX))
    assert [job.id for job in (await late.jobs()).jobs] == ["b", "a"]
    await late.close()
    await queue.close()


@pytest.mark.parametrize("acknowledgement", ["memory", "replicas=1"])
async def test_a_failover_by_hand_is_followed_by_connections_that_live_on(
    replicated: list[ValkeyProcess], acknowledgement: str
) -> None:
    primary, replica = replicated[:2]
    settings = QueueSettings(redis_url=primary.url, prefix=PREFIX, acknowledgement=acknowledgement)
    queue = await Queue.connect(settings)
    await queue.submit(NewJob(id="a"))
    await connection_to(replica.url).call("CLUSTER", "FAILOVER")
    await until(lambda: (facts(replica)["role"], facts(primary)["role"]) == ("master", "slave"), 30)
    await until(lambda: has_the_same(replica, primary), 30)
    assert (await able(lambda: queue.submit(NewJob(id="b")), 10)).created
    assert [lease.job_id for lease in await queue.claim("w1", 2)] == ["a", "b"]
    with redis.Redis(port=replica.port) as there:
        assert there.exists(f"{PREFIX}record:b")
    await queue.close()


async def test_a_second_moved_in_a_row_is_followed() -> None:
    """The first node has not heard that the slot went on from the second to the third."""
    shares = [(0, 0), (SLOT, SLOT), (1, 1)]
    async with cluster_of(shares, "--cluster-require-full-coverage", "no") as (first, third, second):
        nodes = [connection_to(node.url) for node in (first, second, third)]
        names = [(await node.call("CLUSTER", "MYID")).decode() for node in nodes]
        await until(lambda: [sends_to(node) for node in (first, second)] == [third.port] * 2, 20)
        await nodes[0].call("CLUSTER", "SETSLOT", SLOT, "NODE", names[1])
        queue = await Queue.connect(QueueSettings(redis_url=first.url, prefix=PREFIX))
        assert (await queue.submit(NewJob(id="a"))).created
        assert await nodes[2].call("EXISTS", f"{PREFIX}record:a") == 1
        assert [sends_to(node) for node in (first, second)] == [second.port, third.port]
        await queue.close()


async def test_nodes_that_name_each_other_are_unavailable_for_now() -> None:
    """The old node has given the slot away, and the new one has not taken it yet."""
    async with cluster_of([(1, SLOTS - 1), (0, 0)]) as (old, new):
        nodes = [connection_to(node.url) for node in (old, new)]
        name = (await nodes[1].call("CLUSTER", "MYID")).decode()
        queue = await Queue.connect(QueueSettings(redis_url=old.url, prefix=PREFIX))
        await nodes[1].call("CLUSTER", "SETSLOT", SLOT, "IMPORTING", (await nodes[0].call("CLUSTER", "MYID")).decode())
        await nodes[0].call("CLUSTER", "SETSLOT", SLOT, "NODE", name)
        began = time.monotonic()
        with pytest.raises(QueueUnavailable) as raised:
            await queue.submit(NewJob(id="a"))
        assert time.monotonic() - began < 5
        assert str(raised.value) == ELSEWHERE
        await nodes[1].call("CLUSTER", "SETSLOT", SLOT, "NODE", name)
        assert (await able(lambda: queue.submit(NewJob(id="a")))).created
        assert await nodes[1].call("EXISTS", f"{PREFIX}record:a") == 1
        await queue.close()
