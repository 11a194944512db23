"""Many pieces of work, only a few of them under way at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


async def few_at_once(do: Callable[[Item], Awaitable[Made]], items: Iterable[Item], at_once: int) -> list[Made]:
    """What `do` makes of each item, in their order; they are begun in that order, at most so many side by side.

    Raises what the first of them raises; the others are then cancelled.
    """
    slots = asyncio.Semaphore(at_once)

    async def in_turn(item: Item) -> Made:
        async with slots:
            return await do(item)

    try:
        async with asyncio.TaskGroup() as running:
            tasks = [running.create_task(in_turn(item)) for item in items]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
