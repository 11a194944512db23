"""How a worker leaves in order: what runs may finish, the rest is handed back, and the worker is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

from new_stack.queue import QueueError
from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.context import WorkerContext
from new_stack.worker.running_jobs import RunningJobs
from new_stack.worker.stopping import Stop

LAST_ENDS_S: Final = 5.0
"""How long a leaving worker tries to deliver its last ends."""
HURRIED_LAST_ENDS_S: Final = 1.0
"""The same for one that was told twice to stop."""


async def leave(
    context: WorkerContext,
    running: RunningJobs,
    acknowledger: Acknowledger,
    heartbeat: asyncio.Task[None],
    hurried: asyncio.Event,
) -> int:
    """Answers how many jobs could not be handed over. `hurried` ends the times in which they may end by themselves."""
    context.log.info("worker_stopping", running=len(running.leases))
    await _unless_hurried(running.until_empty(), context.settings.shutdown_grace_ms / 1000, hurried)
    handed_back = len(running.leases)
    for attempt in running.attempts:
        attempt.stop(Stop.SHUTDOWN)
    await _unless_hurried(running.until_empty(), context.settings.stop_grace_ms / 1000, hurried)
    with suppress(TimeoutError):
        async with asyncio.timeout(HURRIED_LAST_ENDS_S):
            await running.until_empty()
    for attempt in running.attempts:
        attempt.abandon()
    with suppress(TimeoutError, QueueError):
        async with asyncio.timeout(HURRIED_LAST_ENDS_S if hurried.is_set() else LAST_ENDS_S):
            await acknowledger.until_settled()
            heartbeat.cancel()  # before the worker is forgotten: a heartbeat would make it known again
            await asyncio.wait([heartbeat])
            await context.queue.unregister(context.worker_id)
    heartbeat.cancel()
    left = len(running.leases) + acknowledger.waiting
    context.log.info("worker_stopped", handed_back=handed_back, left=left)
    return left


async def _unless_hurried(event: Awaitable[None], within_s: float, hurried: asyncio.Event) -> None:
    """Wait for something, at most so long, and only until a second `stop`."""
    waits = [asyncio.ensure_future(event), asyncio.ensure_future(hurried.wait())]
    try:
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
