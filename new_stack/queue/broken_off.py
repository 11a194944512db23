"""Claims that are broken off: what they claim meanwhile is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from new_stack.queue.connection import Connection
from new_stack.queue.errors import QueueError
from new_stack.queue.function_caller import FunctionCaller

BREAK_OFF_SECONDS: Final = 1.0

Claimed = tuple[Any, Sequence[Any]]
"""What a call that claims is answered, and the rows of its claims."""


async def unless_broken_off(
    asked: Coroutine[Any, Any, Claimed],
    give_back: Callable[[Sequence[Any]], Awaitable[None]],
    caller: FunctionCaller,
    *,
    blocked: Connection | None = None,
) -> Claimed:
    """What is answered to a call that claims. Cancelled, it gives back what the call claims meanwhile.

    Where the call blocks a connection, that ends first. Where Redis is gone or does not answer, leases run out.
    """
    answer = asyncio.ensure_future(asked)
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        with suppress(QueueError, TimeoutError):
            async with asyncio.timeout(BREAK_OFF_SECONDS):
                if blocked and blocked.opened:
                    await caller.connection.call("CLIENT", "UNBLOCK", blocked.opened.client_id)
                _, rows = await answer
                await give_back(rows)
        answer.cancel()
        raise
