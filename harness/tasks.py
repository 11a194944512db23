"""Many pieces of work, a few of them under way at a time; and work that is called off or stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

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


def stopped() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM, from now on."""
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


async def called_off(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel these, as far as there are any, and wait until they have ended, whatever they come to."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
