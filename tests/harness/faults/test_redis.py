"""Faults of Redis, seen by a plain client; each is undone when the block ends, however it ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from harness.faults import Demotion, Failover, FailoverBy, FlushFunctions, FullMemory, Plan
from harness.faults.redis import RedisFault
from harness.history import HistoryWriter
from harness.processes import Processes, connect, start_redis_group, start_valkey
from harness.protocols import EventKind
from harness.testing.waiting import until

LIBRARY = "#!lua name=mine\nserver.register_function('mine', function() return 1 end)"
ONCE = Plan(times=1, every_s=0.01, for_s=600)
"""It lasts until the block ends."""


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    async with Processes(tmp_path) as started:
        yield started


async def until_noted(writer: HistoryWriter) -> None:
    await until(lambda: writer.events, within=20)


@pytest.mark.parametrize(
    ("fault", "refusal"), [(Demotion, redis.ReadOnlyError), (FullMemory, redis.exceptions.OutOfMemoryError)]
)
async def test_writes_are_refused_until_it_is_over(
    processes: Processes, fault: type[RedisFault], refusal: type[Exception]
) -> None:
    valkey = start_valkey(processes)
    client, writer = connect(valkey.url), HistoryWriter()
    client.set("job", "acknowledged")
    async with fault(valkey, writer, plan=ONCE):
        await until_noted(writer)
        with pytest.raises(refusal):
            client.set("another", "refused")
        assert client.get("job") == b"acknowledged", "reads go on"
    assert client.set("another", "taken")
    assert [event.kind for event in writer.events] == [EventKind.REDIS_DOWN, EventKind.REDIS_UP]


async def test_functions_are_flushed_and_nothing_else(processes: Processes) -> None:
    valkey = start_valkey(processes)
    client, writer = connect(valkey.url), HistoryWriter()
    client.function_load(LIBRARY)
    client.set("job", "acknowledged")
    async with FlushFunctions(valkey, writer, plan=Plan(times=2, every_s=0.01, for_s=0)) as flushing:
        await flushing.done()
    assert flushing.strikes == 2
    assert client.function_list() == []
    assert client.get("job") == b"acknowledged"


@pytest.mark.parametrize("by", FailoverBy)
async def test_the_service_goes_on_elsewhere(processes: Processes, by: FailoverBy) -> None:
    group = await asyncio.to_thread(start_redis_group, processes)
    writer, first = HistoryWriter(), group.primary()
    connect(group.url).set("job", "acknowledged")
    assert connect(group.url).wait(1, 2_000) == 1
    async with Failover(group, writer, plan=Plan(times=1, every_s=0.01, for_s=0.1), by=by) as failing_over:
        await failing_over.done()
    assert group.primary() is not first
    assert all(server.process.alive for server in group.servers)
    assert connect(group.url).get("job") == b"acknowledged"
    assert [(event.kind, event.note) for event in writer.events] == [
        (EventKind.REDIS_DOWN, by),
        (EventKind.REDIS_UP, ""),
    ]
