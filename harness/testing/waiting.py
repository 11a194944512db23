"""Waiting for a fact, with a deadline: what a test does where there is no event that it could await."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

PAUSE_S = 0.01


class TooLate(AssertionError):  # noqa: N818 - the name says what happened
    """Something came, but later than it may."""


async def until(fact: Callable[[], Any], within: float = 10.0, what: str = "what was waited for") -> Any:
    """The first true answer of `fact` (awaited where it is awaitable).

    Raises TimeoutError after `within` seconds, which says `what` did not come.
    """
    try:
        async with asyncio.timeout(within) as limit:
            while True:
                answer = fact()
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"{what} did not come within {within:g} s") from None
