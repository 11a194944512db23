"""A thread with an event loop of its own: what it leaves running ends with it."""

from __future__ import annotations

import asyncio

import pytest

from harness.testing.waiting import until
from new_stack.worker.blocked_loop import in_thread


async def test_what_a_threads_work_leaves_running_is_ended_with_the_thread() -> None:
    left: list[asyncio.Task[None]] = []

    async def work() -> None:
        left.append(asyncio.create_task(asyncio.sleep(3600)))
        await asyncio.sleep(3600)

    thread = asyncio.create_task(in_thread("work", work))
    await until(lambda: bool(left))
    thread.cancel()
    with pytest.raises(asyncio.CancelledError):
        await thread
    assert left[0].cancelled()
