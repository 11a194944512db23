"""One attempt at one job: runs the connector, and turns what it does, or why it was stopped, into exactly one end."""

from __future__ import annotations

import asyncio
import math
import time
import traceback
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, Final

import msgspec

from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.jobs import Completed, End, Failed, Lease, Released
from new_stack.worker.connectors import Connector, JobContext, JobFailed
from new_stack.worker.connectors.result import encode_result, failure_in
from new_stack.worker.context import WorkerContext
from new_stack.worker.progress import ProgressPublisher

ERROR_LENGTH: Final = 8_000
"""An error's text is cut beyond so many characters: it is kept for people to read, in Redis."""


class Stop(StrEnum):
    """Why an attempt was told to stop."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    TIMED_OUT = "timed_out"
    SHUTDOWN = "shutdown"


class Attempt:
    """A lease being worked on, from now on. `ended` is called once: with the end, or with None where the queue needs
    none. After its time-out (0: none) it is stopped.
    """

    def __init__(
        self, context: WorkerContext, lease: Lease, connector: Connector, ended: Callable[[End | None], None]
    ) -> None:
        self.lease = lease
        self.connector = connector
        self.stop_reason: Stop | None = None
        self._ended = ended
        self._log = context.log
        publish, loop = partial(context.queue.progress, lease), asyncio.get_running_loop()
        self._publisher = ProgressPublisher(publish, self._progress_refused, context.redis_backoff)
        self._outcome: End | None = None
        """What the connector has come to."""
        self.over = asyncio.Event()
        """Set once it has ended, though its connector may go on."""
        self._late_at, self._grace_s = math.inf, context.settings.stop_grace_ms / 1000
        own_s, usual_s = (lease.timeout_ms or 0) / 1000, context.settings.job_timeout_minutes * 60
        self._timeout_s = min(own_s, usual_s) if own_s and usual_s else own_s or usual_s
        self._timers: list[asyncio.TimerHandle] = []
        if self._timeout_s:
            self._late_at = time.monotonic() + self._timeout_s + 2 * self._grace_s
            self._timers.append(loop.call_later(self._timeout_s, self.stop, Stop.TIMED_OUT))
        self.task = loop.create_task(self._run())
        self.task.add_done_callback(lambda _: self._finish())  # also where it is cancelled before it has begun

    @property
    def overdue(self) -> bool:
        """Whether the loop, blocked, has not even been able to end the attempt at its time-out."""
        return self._outcome is None and time.monotonic() > self._late_at

    def stop(self, reason: Stop) -> None:
        """Cancel the connector, and end without it where it does not give way; one that is done has no time-out."""
        if self.over.is_set() or (reason is Stop.TIMED_OUT and self._outcome is not None):
            return
        if reason is not Stop.TIMED_OUT:
            self._publisher.close()
        if self.stop_reason is None:
            self.stop_reason = reason
            if self._outcome is None:
                self.task.cancel()
                self._timers.append(asyncio.get_running_loop().call_later(self._grace_s, self.abandon))

    def abandon(self) -> None:
        """End now, whether or not the connector has given way."""
        if not self.over.is_set():
            self._log.error("connector_ignores_stop", job_id=self.lease.job_id, reason=self.stop_reason)
            self._finish()

    async def _run(self) -> None:
        try:
            self._outcome = await self._run_connector()
        except asyncio.CancelledError:
            if self.stop_reason is None:
                raise
        await self._publisher.flush()

    def _finish(self) -> None:
        """End, once."""
        if not self.over.is_set():
            self.over.set()
            for timer in self._timers:
                timer.cancel()
            self._publisher.close()
            self._ended(self._end())

    def _end(self) -> End | None:
        """What the attempt comes to: as its connector said, unless it was stopped."""
        match self.stop_reason:
            case Stop.CANCELLED | Stop.LEASE_LOST:
                return None
            case Stop.TIMED_OUT:
                return self._failed(f"timed out after {self._timeout_s:g} s", error_type="TimeoutError")
            case Stop.SHUTDOWN:
                return self._outcome or Released(lease=self.lease)
            case None:
                return self._outcome

    def _progress_refused(self, error: QueueError) -> None:
        """Redis does not take what the connector says; a lease that is lost stops the attempt."""
        if isinstance(error, LeaseLost):
            self.stop(Stop.CANCELLED if error.cancelled else Stop.LEASE_LOST)
        else:
            self._log.error("progress_refused", job_id=self.lease.job_id, error=str(error))

    async def _run_connector(self) -> End:
        try:
            return self._end_for(await self.connector.run(JobContext(self.lease, self._publisher)))
        except JobFailed as failure:
            cause = failure.__cause__ or failure
            return self._failed(failure.error, retryable=failure.retryable, error_type=_type_of(cause))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._failed("the connector gave up without saying why")
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a connector raises ends its job, never the worker
            trace = "".join(traceback.format_exception(error, limit=-20))
            self._log.error("connector_raised", job_id=self.lease.job_id, error=_describe(error), traceback=trace)
            return self._failed(_describe(error), error_type=_type_of(error), trace=trace)

    def _end_for(self, result: Any) -> End:
        error = failure_in(result)
        if error is not None:
            return self._failed(error)
        try:
            return Completed(lease=self.lease, result=msgspec.Raw(encode_result(result)))
        except (TypeError, ValueError, OverflowError, RecursionError) as unencodable:
            return self._failed(f"the connector's result is not JSON: {unencodable}", retryable=False)

    def _failed(self, error: str, *, retryable: bool = True, error_type: str = "", trace: str = "") -> Failed:
        error = error[:ERROR_LENGTH]
        return Failed(lease=self.lease, error=error, retryable=retryable, error_type=error_type, traceback=trace)


def _type_of(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _describe(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
