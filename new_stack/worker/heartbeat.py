"""Heartbeat and lease renewal, in a thread of their own: a connector that blocks the event loop loses no job.

The same thread names a connector that blocks the loop. Also here: the check that a worker's name is its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import Final

from new_stack import __version__
from new_stack.backoff import Backoff
from new_stack.queue import Lease, LeaseState, Queue, QueueError, WorkerInfo, WorkerReport
from new_stack.settings import SettingsError
from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.attempt import Stop
from new_stack.worker.context import WorkerContext
from new_stack.worker.running_jobs import RunningJobs

BLOCKED_S: Final = 2.0
"""How long the event loop may be blocked before the connector that does so is named in the log."""
CHECK_S: Final = 0.5
"""How often the thread looks whether the loop answers while jobs run."""
FRAMES: Final = 4
"""How many of the innermost calls of a blocked loop are logged."""
STOP_S: Final = 2.0
ASK_AGAIN_S: Final = 0.25
"""How often another holder of the worker's name is looked at."""


class Heartbeat:
    """Says that the worker is alive, and renews the leases of what runs and of the ends that wait for Redis."""

    def __init__(self, context: WorkerContext, running: RunningJobs, acknowledger: Acknowledger) -> None:
        self._context = context
        self._running = running
        self._acknowledger = acknowledger
        self._due_at = 0.0

    def report(self) -> WorkerReport:
        """What the worker says of itself."""
        running = tuple(lease.job_id for lease in self._running.leases)
        working = "busy" if running else "idle"
        return WorkerReport(
            worker_id=self._context.worker_id,
            status="stopping" if self._running.closed else working,
            concurrency=self._context.settings.max_concurrent_jobs,
            running=running,
            connectors=self._context.connectors.names,
            services=self._context.connectors.services,
            capabilities=self._context.told.capabilities,
            jobs_processed=self._running.completed,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    def report_for_poll(self) -> WorkerReport | None:
        """The report, where the next heartbeat is nearly due and renews no lease: it travels with a poll then."""
        if self._running.leases or time.monotonic() < self._due_at - self._context.settings.poll_interval_ms / 1000:
            return None
        return self.report()

    def delivered(self) -> None:
        """Redis has a heartbeat: the next one is due an interval later."""
        jitter = 0.9 + 0.2 * self._context.chance.random()
        self._due_at = time.monotonic() + self._context.settings.heartbeat_interval_ms / 1000 * jitter

    async def run(self) -> None:
        """Run the thread until cancelled. Raises what ended it otherwise."""
        main = asyncio.get_running_loop()
        ended: asyncio.Future[None] = main.create_future()
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._beat_and_watch(main, threading.get_ident()))

        def settle(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(None) if error is None else ended.set_exception(error)

        def thread() -> None:
            error: BaseException | None = None
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                error = None
            except BaseException as failure:  # noqa: BLE001 - it ends the worker, which waits for it
                error = failure
            finally:
                loop.close()
            with suppress(RuntimeError):  # the worker has not waited and is gone
                main.call_soon_threadsafe(settle, error)

        threading.Thread(target=thread, name="heartbeat", daemon=True).start()
        try:
            await asyncio.shield(ended)
        finally:
            if not ended.done():
                loop.call_soon_threadsafe(task.cancel)
                await asyncio.wait([ended], timeout=STOP_S)

    async def _beat_and_watch(self, main: asyncio.AbstractEventLoop, thread_id: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat(main))
            group.create_task(self._watch(main, thread_id))

    async def _beat(self, main: asyncio.AbstractEventLoop) -> None:
        """Beat and renew over a connection of the thread's own. The worker's loops say when Redis is away."""
        backoff = Backoff(first_s=0.05, longest_s=1.0)
        queue: Queue | None = None
        try:
            while True:
                wait_s = self._due_at - time.monotonic()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                    continue
                try:
                    queue = queue or await Queue.connect(self._context.settings.queue)
                    await asyncio.gather(self._renew(queue, main), queue.heartbeat(self.report()))
                except QueueError:
                    await backoff.pause()
                else:
                    backoff.succeeded()
                    self.delivered()
        finally:
            if queue is not None:
                await queue.close()

    async def _renew(self, queue: Queue, main: asyncio.AbstractEventLoop) -> None:
        leases = (*self._running.renewable(), *self._acknowledger.leases)
        for lease, state in zip(leases, await queue.renew(leases), strict=True):
            if state is not LeaseState.HELD:
                main.call_soon_threadsafe(self._lost, lease, state)

    def _lost(self, lease: Lease, state: LeaseState) -> None:
        reason = Stop.CANCELLED if state is LeaseState.CANCELLED else Stop.LEASE_LOST
        self._running.stop(lease.job_id, lease.attempt, reason)

    async def _watch(self, main: asyncio.AbstractEventLoop, thread_id: int) -> None:
        """Log once for each time that the worker's event loop does not answer, with what it is doing."""
        clock = asyncio.get_running_loop().time
        here = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_S)
            if not self._running.leases:
                continue
            answered = asyncio.Event()
            asked_at = clock()
            main.call_soon_threadsafe(here.call_soon_threadsafe, answered.set)
            try:
                async with asyncio.timeout(BLOCKED_S):
                    await answered.wait()
            except TimeoutError:
                self._log_blocked(main, thread_id)
                await answered.wait()
                self._context.log.warning("loop_unblocked", blocked_s=round(clock() - asked_at, 1))

    def _log_blocked(self, main: asyncio.AbstractEventLoop, thread_id: int) -> None:
        task = asyncio.current_task(main)
        name = self._running.connector_of(task) if task is not None else None
        connector = name or " or ".join(sorted(self._running.connectors))
        frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented, and the only way to another thread
        self._context.log.error(
            "loop_blocked",
            message=f"connector {connector} blocks the loop; with run_in=thread it would block only itself",
            connector=connector,
            stack=[f"{call.filename}:{call.lineno} {call.name}" for call in traceback.extract_stack(frame)[-FRAMES:]],
        )


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
