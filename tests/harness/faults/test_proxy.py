"""The proxy, with real sockets on both sides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from harness.faults import Cuts, Direction, Partition, Plan, Proxy, Slowness
from harness.history import HistoryWriter
from harness.protocols import EventKind
from harness.testing.waiting import until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A proxy before a server that answers every line with itself."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
            writer.write(b"bye\n")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1], name="redis") as proxy:
            yield proxy
    finally:
        server.close()


async def dial(proxy: Proxy) -> Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def ask(streams: Streams, line: bytes, *, within_s: float = 5.0) -> bytes:
    reader, writer = streams
    writer.write(line)
    async with asyncio.timeout(within_s):
        return await reader.readline()


async def test_bytes_pass_both_ways_and_so_does_the_end_of_one_side() -> None:
    async with echo() as proxy:
        reader, writer = await dial(proxy)
        assert await ask((reader, writer), b"hello\n") == b"hello\n"
        writer.write_eof()
        assert await reader.read() == b"bye\n"
        writer.close()


async def test_a_megabyte_arrives_whole() -> None:
    async with echo() as proxy:
        reader, writer = await dial(proxy)
        line = b"x" * 1023 + b"\n"

        async def send() -> None:
            for _ in range(1024):
                writer.write(line)
                await writer.drain()

        sending = asyncio.create_task(send())
        assert await reader.readexactly(1024 * 1024) == line * 1024
        await sending
        writer.close()


async def test_a_cut_resets_both_sides_and_new_connections_work() -> None:
    async with echo() as proxy:
        streams = [await dial(proxy) for _ in range(3)]
        for one in streams:
            await ask(one, b"hello\n")
        assert proxy.cut() == 3
        for reader, _ in streams:
            with pytest.raises(ConnectionResetError):
                await reader.readline()
        assert await ask(await dial(proxy), b"again\n") == b"again\n"


async def test_refused_connections_are_reset_until_healed() -> None:
    async with echo() as proxy:
        old = await dial(proxy)
        await ask(old, b"hello\n")
        proxy.refuse()
        reader, _ = await dial(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.readline()
        assert await ask(old, b"still\n") == b"still\n"
        proxy.heal()
        assert await ask(await dial(proxy), b"again\n") == b"again\n"


async def test_half_open_connections_are_silent_until_they_are_reset_and_new_ones_work() -> None:
    async with echo() as proxy:
        streams = await dial(proxy)
        await ask(streams, b"hello\n")
        assert proxy.strand() == 1
        with pytest.raises(TimeoutError):
            await ask(streams, b"lost\n", within_s=0.2)
        assert await ask(await dial(proxy), b"new\n") == b"new\n"
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            await streams[0].readline()


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_one_way_partition_holds_back_and_delivers_after_the_healing(direction: Direction) -> None:
    async with echo() as proxy:
        streams = await dial(proxy)
        await ask(streams, b"hello\n")
        proxy.partition(direction)
        with pytest.raises(TimeoutError):
            await ask(streams, b"lost?\n", within_s=0.2)
        proxy.heal()
        assert await ask(streams, b"", within_s=5) == b"lost?\n"


async def test_a_slow_link_is_slow_and_passes_everything() -> None:
    async with echo() as proxy:
        streams = await dial(proxy)
        await ask(streams, b"hello\n")
        proxy.slow(delay_s=0.15)
        begun = time.monotonic()
        assert await ask(streams, b"slow\n") == b"slow\n"
        assert time.monotonic() - begun >= 0.3
        proxy.slow(bytes_per_s=1_000)
        begun = time.monotonic()
        assert await ask(streams, b"x" * 150 + b"\n") == b"x" * 150 + b"\n"
        assert time.monotonic() - begun >= 0.3


async def test_a_sender_feels_a_partition_instead_of_filling_the_proxys_memory() -> None:
    async with echo() as proxy:
        _, writer = await dial(proxy)
        proxy.partition()

        async def flood() -> None:
            for _ in range(1_000):
                writer.write(b"x" * 100_000)
                await writer.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(), 1.0)
        writer.transport.abort()


async def test_an_upstream_that_is_not_there_resets_the_caller() -> None:
    async with Proxy("127.0.0.1", 9, name="redis") as proxy:
        reader, _ = await dial(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.readline()


async def test_closing_the_proxy_ends_its_connections() -> None:
    async with echo() as proxy:
        streams = await dial(proxy)
        await ask(streams, b"hello\n")
        assert proxy.open_connections == 1
    assert proxy.open_connections == 0


async def test_spells_are_told_in_the_history_and_healed_when_interrupted() -> None:
    writer = HistoryWriter()
    async with echo() as proxy:
        streams = await dial(proxy)
        async with Partition(proxy, writer, seed=1, plan=Plan(times=9, every_s=0.02, for_s=60)):
            await until(lambda: writer.events, within=5)
            with pytest.raises(TimeoutError):
                await ask(streams, b"hello\n", within_s=0.2)
        assert await ask(streams, b"", within_s=5) == b"hello\n"
    assert [(event.kind, event.target) for event in writer.events] == [
        (EventKind.PARTITIONED, "redis"),
        (EventKind.HEALED, "redis"),
    ]


async def test_one_way_partitions_follow_the_seed() -> None:
    async def notes(seed: int) -> list[str]:
        writer = HistoryWriter()
        async with echo() as proxy:
            plan = Plan(times=6, every_s=0.001, for_s=0.001)
            async with Partition(proxy, writer, seed=seed, plan=plan, one_way=True) as partition:
                await partition.done()
        return [event.note for event in writer.events if event.kind is EventKind.PARTITIONED]

    first = await notes(5)
    assert first == await notes(5)
    assert set(first) == {"up", "down"}


async def test_cuts_and_slowness_by_plan() -> None:
    writer = HistoryWriter()
    async with echo() as proxy:
        streams = await dial(proxy)
        await ask(streams, b"hello\n")
        async with Cuts(proxy, writer, seed=1, times=1, every_s=0.01) as cuts:
            await cuts.done()
        assert cuts.connections == 1
        with pytest.raises(ConnectionResetError):
            await streams[0].readline()
        async with Slowness(proxy, writer, seed=1, plan=Plan(times=1, every_s=0.01, for_s=0.01), delay_s=5) as slow:
            await slow.done()
        assert await ask(await dial(proxy), b"fast\n", within_s=3) == b"fast\n"
    assert [event.kind for event in writer.events] == [EventKind.CUT, EventKind.SLOWED, EventKind.HEALED]
