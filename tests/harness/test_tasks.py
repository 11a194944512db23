"""A few at once: in their order, never more, and a failure as itself."""

from __future__ import annotations

import asyncio

import pytest

from harness.errors import CouldNotRun
from harness.tasks import called_off, few_at_once


async def test_the_answers_are_in_the_items_order_and_never_more_are_under_way() -> None:
    under_way, most = 0, 0

    async def doubled(item: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(7 - item):  # the first takes longest
            await asyncio.sleep(0)
        under_way -= 1
        return 2 * item

    assert await few_at_once(doubled, range(7), 3) == [0, 2, 4, 6, 8, 10, 12]
    assert most == 3


async def test_a_failure_is_raised_as_itself_and_the_others_end() -> None:
    ended: list[int] = []

    async def tried(item: int) -> None:
        if item == 1:
            raise CouldNotRun("no")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    with pytest.raises(CouldNotRun, match="no"):
        await few_at_once(tried, range(4), 3)
    assert 0 in ended


async def test_what_is_called_off_has_ended_whatever_it_comes_to() -> None:
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("on its way out")

    waiting, failing = asyncio.create_task(asyncio.Event().wait()), asyncio.create_task(fails())
    await asyncio.sleep(0)
    await called_off(waiting, None, failing)
    assert waiting.cancelled()
    assert isinstance(failing.exception(), LookupError)
