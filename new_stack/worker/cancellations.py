"""The worker's ear for signals: somebody cancelled a job in hand. It listens always, also while there is no room."""

from __future__ import annotations

from collections.abc import Callable

from new_stack.queue import Signal
from new_stack.queue.errors import QueueUnavailable
from new_stack.worker.context import WorkerContext


async def watch_for_cancellations(context: WorkerContext, signalled: Callable[[Signal], None]) -> None:
    """Pass on every signal, for ever."""
    wait_ms = context.settings.wait_ms
    while True:
        try:
            _, signal = await context.queue.wait(context.worker_id, for_work=False, timeout_ms=wait_ms)
        except QueueUnavailable as error:
            context.outage.noticed(error)
            await context.outage.pause()
        else:
            if signal is not None:
                signalled(signal)
