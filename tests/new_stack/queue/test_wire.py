"""The connection: replies reach their callers whatever happens around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from harness.processes import free_port
from new_stack.queue import QueueUnavailable
from new_stack.queue.gather import Gather
from new_stack.queue.wire import Address, RedisRefused, Wire
from tests.new_stack.conftest import ValkeyProcess


@pytest.fixture
async def wire(valkey: ValkeyProcess) -> AsyncIterator[Wire]:
    opened = Wire(Address.parse(valkey.url), timeout=2)
    yield opened
    opened.close()


async def test_many_calls_at_once_each_get_their_own_reply(wire: Wire) -> None:
    assert await asyncio.gather(*(wire.call("ECHO", number) for number in range(500))) == [
        str(number).encode() for number in range(500)
    ]


async def test_a_cancelled_call_does_not_shift_the_replies_of_the_others(wire: Wire) -> None:
    await wire.call("PING")
    calls = [asyncio.create_task(wire.call("ECHO", number)) for number in range(100)]
    await asyncio.sleep(0)
    for call in calls[::3]:
        call.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for number, answer in enumerate(answers):
        assert isinstance(answer, asyncio.CancelledError) if number % 3 == 0 else answer == str(number).encode()


async def test_a_refused_command_fails_alone(wire: Wire) -> None:
    answers = await asyncio.gather(
        wire.call("ECHO", "a"), wire.call("NO-SUCH-COMMAND"), wire.call("ECHO", "b"), return_exceptions=True
    )
    assert (answers[0], answers[2]) == (b"a", b"b")
    assert isinstance(answers[1], RedisRefused)


async def test_an_argument_that_cannot_be_sent_fails_alone(wire: Wire) -> None:
    await wire.call("PING")
    bad: list[object] = [None, object()]
    for argument in bad:
        with pytest.raises(TypeError):
            await wire.call("ECHO", argument)
    assert await wire.call("ECHO", "a") == b"a"


async def test_a_connection_closed_by_the_server_is_opened_again(wire: Wire) -> None:
    number = await wire.call("CLIENT", "ID")
    await wire.call("CLIENT", "KILL", "ID", number, "SKIPME", "no")
    await asyncio.sleep(0.05)
    assert await wire.call("CLIENT", "ID") != number


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
        wire = Wire(Address(port=port), timeout=1)
        with pytest.raises(QueueUnavailable):
            await asyncio.gather(*(wire.call("PING") for _ in range(5)))
        wire.close()


class TestGather:
    async def test_items_of_one_turn_are_run_together_and_later_ones_apart(self) -> None:
        batches: list[list[int]] = []

        async def run(items: Sequence[int]) -> list[int]:
            batches.append(list(items))
            return [-item for item in batches[-1]]

        gather: Gather[int, int] = Gather(run, self.forget)
        assert await asyncio.gather(gather.add(1), gather.add(2)) == [-1, -2]
        assert await gather.add(3) == -3
        assert batches == [[1, 2], [3]]

    async def test_an_error_reaches_every_item_of_its_batch_only(self) -> None:
        async def run(items: Sequence[int]) -> list[int]:
            if 1 in list(items):
                raise QueueUnavailable("gone")
            return [0]

        gather: Gather[int, int] = Gather(run, self.forget)
        answers = await asyncio.gather(gather.add(1), gather.add(2), return_exceptions=True)
        assert [type(answer) for answer in answers] == [QueueUnavailable] * 2
        assert await gather.add(3) == 0

    async def test_an_answer_that_nobody_waits_for_is_handed_to_unwanted(self) -> None:
        unwanted: list[int] = []
        done = asyncio.Event()

        async def run(items: Sequence[int]) -> list[int]:
            return list(items)

        async def keep(answers: Sequence[int]) -> None:
            unwanted.extend(answers)
            done.set()

        gather: Gather[int, int] = Gather(run, keep)
        kept, dropped = gather.add(1), gather.add(2)
        dropped.cancel()
        assert await kept == 1
        await asyncio.wait_for(done.wait(), 5)
        assert unwanted == [2]

    @staticmethod
    async def forget(answers: Sequence[int]) -> None:
        raise AssertionError(f"nothing was unwanted, but {answers} came")
