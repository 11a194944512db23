"""What a worker does in Redis by the clock besides its heartbeat: polling for lost wake-ups, and reaping."""

from __future__ import annotations

import asyncio
from typing import Final

from new_stack.queue import QueueError
from new_stack.worker.context import WorkerContext
from new_stack.worker.heartbeat import Heartbeat
from new_stack.worker.job_fetcher import JobFetcher
from new_stack.worker.reaping import Reaping

REAP_ALONE_S: Final = 1.0
"""Leases run out only while somebody reaps every 3 s: a longer pause is taken for an outage of Redis."""


async def poll_loop(context: WorkerContext, fetcher: JobFetcher, heartbeat: Heartbeat) -> None:
    """While the worker waits for work, make good lost wake-ups: a poll that finds work ends the wait, which claims."""
    while True:
        await asyncio.sleep(context.settings.poll_interval_ms / 1000 * (0.9 + 0.2 * context.chance.random()))
        if not fetcher.waiting:
            continue
        try:
            report = heartbeat.report_for_poll()
            _, reaped = await context.queue.poll(context.claimant, report, idle_ms=context.settings.idle_ms)
            if report is not None:
                heartbeat.delivered()
            if reaped:
                context.log.warning("leases_expired", job_ids=reaped)
        except QueueError as error:
            await context.redis_backoff.pause(error)
        else:
            context.redis_backoff.succeeded()


async def reap_loop(context: WorkerContext, fetcher: JobFetcher, reaping: Reaping) -> None:
    """Forget what is past (ended jobs that have expired, workers long gone) now and then, for ever.

    It reaps expired leases as well; and every second, where nobody else does: no API server, no worker that is idle.
    """
    loop, settings, chance = asyncio.get_running_loop(), context.settings, context.chance

    def next_due() -> float:
        return loop.time() + settings.reap_interval_ms / 1000 * (0.75 + 0.5 * chance.random())

    due_at = next_due()
    while True:
        await asyncio.sleep(REAP_ALONE_S)
        if (fetcher.waiting or not reaping.alone) and loop.time() < due_at:  # who waits for work polls, and so reaps
            continue
        try:
            reaped = await context.queue.reap()
        except QueueError as error:
            context.redis_backoff.failed(error)
        else:
            reaping.reaped()
            due_at = next_due()
            if reaped:
                context.log.warning("leases_expired", job_ids=reaped)
