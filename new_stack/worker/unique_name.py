"""The check that a worker's name is its own."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from new_stack.queue import Queue, WorkerInfo
from new_stack.settings import SettingsError

ASK_AGAIN_S: Final = 0.25
"""How often another holder of the worker's name is looked at."""


async def ensure_unique_name(queue: Queue, worker_id: str, *, heartbeat_ttl_ms: int) -> None:
    """Return once nobody else goes by this name: two would take each other's signals and release each other's jobs.

    A predecessor that died does not count. Where it cannot be known from here whether it died, wait for its next
    heartbeat, at most its time to live. Raises SettingsError where somebody else is alive, QueueUnavailable.
    """
    first = await _holder(queue, worker_id)
    if first is None or _is_gone(first):
        return
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + heartbeat_ttl_ms / 1000
    while loop.time() < give_up_at:
        await asyncio.sleep(ASK_AGAIN_S)
        now = await _holder(queue, worker_id)
        if now is None:
            return
        if now.seen_at != first.seen_at:
            where = f"on {now.report.host} (process {now.report.pid})"
            raise SettingsError(f"a worker named {worker_id} is alive {where}: give each a WORKER_ID of its own")


async def _holder(queue: Queue, worker_id: str) -> WorkerInfo | None:
    named = (worker for worker in await queue.workers() if worker.report.worker_id == worker_id and worker.alive)
    return next(named, None)


def _is_gone(worker: WorkerInfo) -> bool:
    """Whether the process is known to have ended: it ran here, and is not here any more (or its number is ours)."""
    report = worker.report
    if report.host != socket.gethostname() or report.pid <= 0:
        return False
    if report.pid == os.getpid():
        return True
    try:
        os.kill(report.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
