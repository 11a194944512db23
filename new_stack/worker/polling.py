"""What a worker does in Redis by the clock besides its heartbeat: polling for lost wake-ups, and reaping."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from new_stack.worker.context import WorkerContext
from new_stack.worker.heartbeat import Heartbeat
from new_stack.worker.job_fetcher import JobFetcher
from new_stack.worker.reaping import Reaping

REAP_ALONE_S: Final = 1.0
"""Leases run out only while somebody reaps every 3 s: a longer pause is taken for an outage of Redis."""


async def poll(context: WorkerContext, fetcher: JobFetcher, heartbeat: Heartbeat) -> None:
    """Where the worker waits for work, make good lost wake-ups: a poll that finds work ends the wait, which claims."""
    await asyncio.sleep(context.jitter(context.settings.poll_interval_ms / 1000, 0.1))
    if not fetcher.waiting:
        return
    report = heartbeat.report_for_poll()
    _, reaped = await context.queue.poll(context.claimant, report, idle_ms=context.settings.idle_ms)
    context.redis_backoff.succeeded()
    if report is not None:
        heartbeat.delivered()
    _log_expired(context, reaped)


async def reap(context: WorkerContext, fetcher: JobFetcher, reaping: Reaping) -> None:
    """Forget what is past (ended jobs that have expired, workers long gone) now and then.

    It reaps expired leases as well; and every second, where nobody else does: no API server, no worker that is idle.
    """
    await asyncio.sleep(REAP_ALONE_S)
    if (fetcher.waiting or not reaping.alone) and not reaping.due:  # who waits for work polls, and so reaps
        return
    reaped = await context.queue.reap()
    reaping.reaped()
    _log_expired(context, reaped)


def _log_expired(context: WorkerContext, job_ids: Sequence[str]) -> None:
    if job_ids:
        context.log.warning("leases_expired", job_ids=job_ids)
