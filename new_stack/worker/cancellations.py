"""Stops running jobs that somebody cancels: the queue notifies the worker that holds one by a signal."""

from __future__ import annotations

from new_stack.queue import Signal
from new_stack.worker.attempt import Stop
from new_stack.worker.context import WorkerContext
from new_stack.worker.running_jobs import RunningJobs


async def await_cancellation(context: WorkerContext, running: RunningJobs) -> None:
    """Stop the next job that somebody cancels, unless that takes too long."""
    cancel(running, await context.queue.wait_for_signal(context.worker_id))


def cancel(running: RunningJobs, signal: Signal | None) -> None:
    """Stop the attempt that a signal names, where there is one."""
    if signal is not None:
        running.stop(signal.job_id, signal.attempt, Stop.CANCELLED)
