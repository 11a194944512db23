"""The connection: replies reach their callers whatever happens around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from harness.processes import free_port
from harness.testing.waiting import until
from new_stack.queue import QueueUnavailable
from new_stack.queue.batcher import Batcher
from new_stack.queue.connection import Connection
from new_stack.queue.errors import RedisRefused
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.queue.conftest import connection_to


@pytest.fixture
async def connection(valkey: ValkeyProcess) -> AsyncIterator[Connection]:
    opened = connection_to(valkey.url, timeout=2)
    yield opened
    opened.close()


async def test_many_calls_at_once_each_get_their_own_reply(connection: Connection) -> None:
    assert await asyncio.gather(*(connection.call("ECHO", number) for number in range(500))) == [
        str(number).encode() for number in range(500)
    ]


async def test_a_cancelled_call_does_not_shift_the_replies_of_the_others(connection: Connection) -> None:
    await connection.call("PING")
    calls = [asyncio.create_task(connection.call("ECHO", number)) for number in range(100)]
    await asyncio.sleep(0)
    for call in calls[::3]:
        call.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for number, answer in enumerate(answers):
        assert isinstance(answer, asyncio.CancelledError) if number % 3 == 0 else answer == str(number).encode()


async def test_a_refused_command_fails_alone(connection: Connection) -> None:
    answers = await asyncio.gather(
        connection.call("ECHO", "a"),
        connection.call("NO-SUCH-COMMAND"),
        connection.call("ECHO", "b"),
        return_exceptions=True,
    )
    assert (answers[0], answers[2]) == (b"a", b"b")
    assert isinstance(answers[1], RedisRefused)


async def test_an_argument_that_cannot_be_sent_fails_alone(connection: Connection) -> None:
    await connection.call("PING")
    bad: list[object] = [None, object()]
    for argument in bad:
        with pytest.raises(TypeError):
            await connection.call("ECHO", argument)
    assert await connection.call("ECHO", "a") == b"a"


async def test_a_connection_closed_by_the_server_is_opened_again(connection: Connection) -> None:
    number = await connection.call("CLIENT", "ID")
    await connection.call("CLIENT", "KILL", "ID", number, "SKIPME", "no")
    await until(lambda: connection.opened is None)
    assert await connection.call("CLIENT", "ID") != number


@pytest.mark.parametrize(
    "words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n+OK\r\n+OK\r\n", b""], ids=["http", "too many", "nothing"]
)
async def test_a_server_that_does_not_speak_redis_is_unavailable(words: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(words)
        await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        connection = connection_to(f"redis://127.0.0.1:{port}", timeout=1)
        with pytest.raises(QueueUnavailable):
            await asyncio.gather(*(connection.call("PING") for _ in range(5)))
        connection.close()


class TestBatcher:
    async def test_items_of_one_turn_are_run_together_and_later_ones_apart(self) -> None:
        batches: list[list[int]] = []

        async def run(items: Sequence[int]) -> list[int]:
            batches.append(list(items))
            return [-item for item in batches[-1]]

        batcher: Batcher[int, int] = Batcher(run)
        assert await asyncio.gather(batcher.add(1), batcher.add(2)) == [-1, -2]
        assert await batcher.add(3) == -3
        assert batches == [[1, 2], [3]]

    async def test_an_error_reaches_every_item_of_its_batch_only(self) -> None:
        async def run(items: Sequence[int]) -> list[int]:
            if 1 in list(items):
                raise QueueUnavailable("gone")
            return [0]

        batcher: Batcher[int, int] = Batcher(run)
        answers = await asyncio.gather(batcher.add(1), batcher.add(2), return_exceptions=True)
        assert [type(answer) for answer in answers] == [QueueUnavailable] * 2
        assert await batcher.add(3) == 0

    async def test_an_item_that_nobody_waits_for_is_run_with_the_others(self) -> None:
        ran: list[int] = []

        async def run(items: Sequence[int]) -> list[int]:
            ran.extend(items)
            return list(items)

        batcher: Batcher[int, int] = Batcher(run)
        kept, dropped = batcher.add(1), batcher.add(2)
        dropped.cancel()
        assert await kept == 1
        assert ran == [1, 2]
