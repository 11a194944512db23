"""Attempts that end before their connector has done: cancelled, timed out, handed back, or their lease lost."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from enum import StrEnum

from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.jobs import End, Lease, Released
from new_stack.worker.attempt import Attempt
from new_stack.worker.connectors import Connector
from new_stack.worker.context import WorkerContext


class Stop(StrEnum):
    """Why an attempt was told to stop."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    TIMED_OUT = "timed_out"
    SHUTDOWN = "shutdown"


class StoppableAttempt(Attempt):
    """An attempt with a time-out (0: none), which may be told to stop besides."""

    def __init__(
        self, context: WorkerContext, lease: Lease, connector: Connector, ended: Callable[[End | None], None]
    ) -> None:
        super().__init__(context, lease, connector, ended)
        self.stop_reason: Stop | None = None
        self._begun = False
        own_s, usual_s = (lease.timeout_ms or 0) / 1000, context.settings.job_timeout_minutes * 60
        self._timeout_s = min(own_s, usual_s) if own_s and usual_s else own_s or usual_s
        self._stop_grace_s = context.settings.stop_grace_ms / 1000
        self._deadline = math.inf
        self._timers: list[asyncio.TimerHandle] = []

    def start(self) -> None:
        """Begin. After the job time-out the attempt is stopped."""
        if self._timeout_s:
            self._deadline = time.monotonic() + self._timeout_s + 2 * self._stop_grace_s
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(self._timeout_s, self.stop, Stop.TIMED_OUT))
        super().start()

    @property
    def overdue(self) -> bool:
        """Whether the loop, blocked, has not even been able to end the attempt at its time-out."""
        return time.monotonic() > self._deadline

    def stop(self, reason: Stop) -> None:
        """Cancel the connector; where it does not give way in time, end without it."""
        if self.over or self.task is None:
            return
        if reason is not Stop.TIMED_OUT:
            self.publisher.close()
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        if not self._begun:
            self.task.cancel()
            self.finish()
        elif self.outcome is None:
            self.task.cancel()
            self._timers.append(asyncio.get_running_loop().call_later(self._stop_grace_s, self.abandon))

    def abandon(self) -> None:
        """End now, whether or not the connector has given way."""
        if not self.over:
            self._log.error("connector_ignores_stop", job_id=self.lease.job_id, reason=self.stop_reason)
            self.finish()

    def drop(self) -> None:
        """Stop at once without an end; the lease will run out."""
        self.over = True
        if self.task is not None:
            self.task.cancel()

    async def run(self) -> None:
        """Run the connector, and end as it does, unless the attempt is stopped before."""
        self._begun = True
        try:
            await super().run()
        except asyncio.CancelledError:
            if self.stop_reason is None or self.over:
                raise
            await self.wind_up()

    def finish(self) -> None:
        """End, once."""
        for timer in self._timers:
            timer.cancel()
        super().finish()

    def end(self) -> End | None:
        """What the attempt comes to: as its connector said, unless it was stopped."""
        match self.stop_reason:
            case Stop.CANCELLED | Stop.LEASE_LOST:
                return None
            case Stop.TIMED_OUT:
                return self.failed(f"timed out after {self._timeout_s:g} s", error_type="TimeoutError")
            case Stop.SHUTDOWN:
                return self.outcome or Released(lease=self.lease)
            case None:
                return self.outcome

    def progress_refused(self, error: QueueError) -> None:
        """A lease that is lost stops the attempt."""
        if isinstance(error, LeaseLost):
            self.stop(Stop.CANCELLED if error.cancelled else Stop.LEASE_LOST)
        else:
            super().progress_refused(error)
