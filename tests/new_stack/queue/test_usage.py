"""What clients use is counted by client and day, bounded in both, and small."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from new_stack.queue import Queue, QueueSettings
from new_stack.queue import usage as counting
from new_stack.queue.usage import ClientCount, Counted, Refused
from tests.new_stack.conftest import ValkeyProcess

DAY_MS = 86_400_000
CLIENTS = 10_000
DAYS = 90
BYTES = 10_000_000
MESSAGES = ("connect", "submit_job", "request_job_status", "stay_alive")


@pytest.fixture
async def lone(own_valkey: ValkeyProcess) -> AsyncIterator[Queue]:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, call_timeout_ms=60_000))
    yield queue
    await queue.close()


def now_ms() -> int:
    return int(time.time() * 1000)


def count(client: str, *uses: tuple[str, str, int, int], refusals: list[Refused] | None = None) -> ClientCount:
    return ClientCount(
        client, [Counted(way, "agent/1", message, at, often) for way, message, at, often in uses], refusals or []
    )


async def used(queue: Queue, command: str, *words: Any) -> Any:
    return await queue._caller.connection.call(command, *words)


async def test_who_came_back_by_http_and_is_refused_again_came_back_when_it_did(queue: Queue) -> None:
    now = now_ms() - 60_000
    for refused_at, used_at in ((now, now + 1_000), (now + 5_000, now + 6_000)):
        uses = [("http modern", "submit", used_at, 1)]
        await queue.usage.add([count("a", *uses, refusals=[Refused(now - 10_000, refused_at, 0)])])
    [record] = (await queue.usage.page()).clients["a"].brown_outs
    assert (record.refused, record.way, record.refused_at, record.back_at) == (2, "http modern", now, now + 1_000)


async def test_who_came_back_between_two_refusals_that_are_added_at_once_came_back(queue: Queue) -> None:
    now = now_ms() - 60_000
    refusals = [Refused(now - 10_000, now, 0), Refused(now - 10_000, now + 2_000, 0)]
    await queue.usage.add([count("a", ("http modern", "submit", now + 1_000, 1), refusals=refusals)])
    [record] = (await queue.usage.page()).clients["a"].brown_outs
    assert (record.refused, record.way, record.refused_at, record.back_at) == (2, "http modern", now, now + 1_000)


async def test_jobs_in_flight_of_a_client_that_is_refused_again_and_again_count_once(queue: Queue) -> None:
    now = now_ms() - 60_000
    refusals = [Refused(now, now + number, jobs) for number, jobs in enumerate((2, 2, 1))]
    await queue.usage.add([count("a", ("websocket hub", "refused", now + 2, 3), refusals=refusals)])
    [record] = (await queue.usage.page()).clients["a"].brown_outs
    assert (record.refused, record.in_flight) == (3, 2)


async def test_who_was_refused_by_one_server_came_back_by_another_that_told_it_sooner(queue: Queue) -> None:
    now = now_ms() // 1000 * 1000 - 60_000
    for used_at in (now - 5_000, now + 9_000, now + 4_000):
        await queue.usage.add([count("a", (f"http {used_at}", "submit", used_at, 1))])
    refused = ("websocket hub", "refused", now + 1_000, 1)
    await queue.usage.add([count("a", refused, refusals=[Refused(now - 10_000, now, 0)])])
    [record] = (await queue.usage.page()).clients["a"].brown_outs
    assert (record.way, record.back_at) == (f"http {now + 4_000}", now + 4_000)


async def test_uses_add_up_by_client_way_message_and_day(queue: Queue) -> None:
    now = now_ms()
    await queue.usage.add([count("a", ("websocket hub", "submit_job", now - 2 * DAY_MS, 3))])
    await queue.usage.add(
        [
            count("a", ("websocket hub", "submit_job", now, 2), ("http modern", "submit", now, 1)),
            count("b", ("websocket hub", "connect", now, 1)),
        ]
    )
    page = await queue.usage.page()
    assert page.cursor is None
    way = page.clients["a"].ways["websocket hub"]
    assert way.by_day == [3, 0, 2]
    assert (way.messages["submit_job"].count, way.agents["agent/1"].count) == (5, 5)
    assert way.messages["submit_job"].last == now // 1000
    assert page.days[now // DAY_MS] == {
        "websocket hub submit_job": 2,
        "http modern submit": 1,
        "websocket hub connect": 1,
    }
    assert set((await queue.usage.page(client="b")).clients) == {"b"}
    assert (await queue.usage.page(client="c")).clients == {}


async def test_what_is_older_than_90_days_is_not_kept(queue: Queue) -> None:
    now = now_ms()
    await queue.usage.add([count("old", ("websocket hub", "connect", now - 90 * DAY_MS, 1))])
    await queue.usage.add([count("a", ("websocket hub", "connect", now - 89 * DAY_MS, 1))])
    page = await queue.usage.page()
    assert list(page.clients) == ["a"]
    assert list(page.days) == [now // DAY_MS - 89]


async def test_a_late_count_of_an_earlier_day_finds_its_place(queue: Queue) -> None:
    now = now_ms()
    for days_ago in (1, 4, 0):
        await queue.usage.add([count("a", ("rest hub", "submit", now - days_ago * DAY_MS, days_ago + 1))])
    way = (await queue.usage.page()).clients["a"].ways["rest hub"]
    assert (way.first_day, way.by_day) == (now // DAY_MS - 4, [5, 0, 0, 2, 1])


async def test_what_came_after_a_refusal_says_how_the_client_came_back(queue: Queue) -> None:
    now = now_ms()
    began = now - 60_000
    refusal = Refused(began, now - 50_000, 2)
    await queue.usage.add([count("a", ("websocket hub", "connect", now - 55_000, 1), refusals=[refusal])])
    [record] = (await queue.usage.page()).clients["a"].brown_outs
    assert (record.refused, record.in_flight, record.way) == (1, 2, "")
    await queue.usage.add([count("a", ("websocket hub", "refused", now - 45_000, 1))])
    await queue.usage.add([count("a", ("http modern", "submit", now - 40_000, 1))])
    await queue.usage.add([count("a", ("websocket hub", "connect", now, 1))])
    [record] = (await queue.usage.page()).clients["a"].brown_outs
    assert (record.way, record.back_at) == ("http modern", now - 40_000)


async def test_the_client_that_was_silent_the_longest_makes_room(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "CLIENTS_KEPT", 5)
    now = now_ms()
    for number in range(8):
        await queue.usage.add([count(f"c{number}", ("websocket hub", "connect", now - 60_000 + number * 2_000, 1))])
    page = await queue.usage.page()
    assert sorted(page.clients) == ["c3", "c4", "c5", "c6", "c7"]
    assert page.days[now // DAY_MS]["forgotten"] == 3


async def test_one_client_cannot_fill_the_memory(queue: Queue) -> None:
    uses = [Counted("websocket hub", f"agent/{number}", f"word-{number}", now_ms(), 1) for number in range(200)]
    await queue.usage.add([ClientCount("a", uses, [Refused(number, number, 0) for number in range(50)])])
    client = (await queue.usage.page()).clients["a"]
    way = client.ways["websocket hub"]
    assert (len(way.messages), len(way.agents), len(client.brown_outs), way.by_day) == (32, 8, 8, [200])


@pytest.mark.timeout(300)
async def test_90_days_of_10000_clients_take_at_most_10_mb(lone: Queue) -> None:
    """Every client, every day, by two ways, with four messages: some of them hundreds of times a day.

    Every other one met as many brown-outs as are kept, with a job in flight, and came back from each.
    """
    drawn = random.Random(18)
    before = int((await used(lone, "INFO", "memory")).decode().split("used_memory:")[1].split()[0])
    today = now_ms()
    brown_outs = [today - days * DAY_MS for days in range(88, 0, -11)]
    for first in range(0, CLIENTS, counting.CLIENTS_AT_ONCE):
        rows = []
        for number in range(first, first + counting.CLIENTS_AT_ONCE):
            busy = drawn.choice((5, 30, 200))
            agent = f"client-of-team-{number % 40}/2.{number % 7}"
            uses = [
                Counted(way, agent, message, today - days * DAY_MS, 1 + int(drawn.expovariate(1 / busy)))
                for days in range(DAYS - 1, -1, -1)
                for way, message in (("websocket hub", drawn.choice(MESSAGES)), ("http modern", "submit"))
            ]
            met = [Refused(at, at + drawn.randrange(900_000), 1) for at in brown_outs if number % 2]
            rows.append(ClientCount(f"client-{number:05}", uses, met))
        await lone.usage.add(rows)
    took = int((await used(lone, "INFO", "memory")).decode().split("used_memory:")[1].split()[0]) - before
    assert int(await used(lone, "HLEN", "usage")) == CLIENTS
    assert took <= BYTES, f"{took:,} bytes"
