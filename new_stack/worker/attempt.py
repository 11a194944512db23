"""One attempt at one job: runs the connector, and turns whatever it does into exactly one end."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from new_stack.queue.errors import LeaseLost, QueueError
from new_stack.queue.jobs import Completed, End, Failed, Lease, Released
from new_stack.worker.connectors.connector import Connector, JobContext, JobFailed
from new_stack.worker.log import EventLog
from new_stack.worker.progress import ProgressPublisher
from new_stack.worker.settings import WorkerSettings

ERROR_LENGTH: Final = 8_000
"""An error's text is cut beyond so many characters: it is kept for people to read, in Redis."""


class Stop(StrEnum):
    """Why an attempt was told to stop."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    TIMED_OUT = "timed_out"
    SHUTDOWN = "shutdown"


class Attempt:
    """A lease in hand. `ended` is called once, with the end, or None where there is nothing to tell the queue."""

    def __init__(
        self,
        lease: Lease,
        connector: Connector,
        publisher: ProgressPublisher,
        ended: Callable[[Attempt, End | None], None],
        log: EventLog,
    ) -> None:
        self.lease = lease
        self.stop_reason: Stop | None = None
        self._connector = connector
        self._publisher = publisher
        publisher.refused = self._refused
        self._ended = ended
        self._log = log
        self._verdict: End | None = None
        self._begun = False
        self._over = False
        self._timeout_s = 0.0
        self._stop_grace_s = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self.task: asyncio.Task[None] | None = None

    def start(self, settings: WorkerSettings) -> None:
        """Begin. After the job time-out (0: never) the attempt is stopped."""
        self._timeout_s = settings.job_timeout_minutes * 60
        self._stop_grace_s = settings.stop_grace_ms / 1000
        loop = asyncio.get_running_loop()
        if self._timeout_s:
            self._timers.append(loop.call_later(self._timeout_s, self.stop, Stop.TIMED_OUT))
        self.task = loop.create_task(self._run())

    def stop(self, reason: Stop) -> None:
        """Cancel the connector; where it does not give way in time, leave it behind and end without it."""
        if self._over or self.task is None:
            return
        if reason is not Stop.TIMED_OUT:
            self._publisher.close()
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        if not self._begun:
            self.task.cancel()
            self._finish()
        elif self._verdict is None:
            self.task.cancel()
            self._timers.append(asyncio.get_running_loop().call_later(self._stop_grace_s, self.leave_behind))

    def drop(self) -> None:
        """Let go at once and tell nobody; the lease will run out."""
        self._over = True
        if self.task is not None:
            self.task.cancel()

    def _refused(self, error: QueueError) -> None:
        """The queue refused progress: somebody cancelled the job, or its lease ran out, or it does not like it."""
        if isinstance(error, LeaseLost):
            self.stop(Stop.CANCELLED if error.cancelled else Stop.LEASE_LOST)
        else:
            self._log.error("progress_refused", job_id=self.lease.job_id, error=str(error))

    async def _run(self) -> None:
        self._begun = True
        try:
            self._verdict = await self._attempt()
        except asyncio.CancelledError:
            if self.stop_reason is None:
                raise
        await self._publisher.flush()
        self._finish()

    async def _attempt(self) -> End:
        try:
            return self._judged(await self._connector.run(JobContext(self.lease, self._publisher)))
        except JobFailed as failure:
            return self._failed(failure.error, retryable=failure.retryable)
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
            return self._failed(_describe(error))

    def _judged(self, result: Any) -> End:
        complaint = failure_in(result)
        if complaint is not None:
            return self._failed(complaint)
        try:
            return Completed(lease=self.lease, result=msgspec.Raw(msgspec.json.encode(result)))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            return self._failed(f"the connector's result is not JSON: {error}", retryable=False)

    def _end(self) -> End | None:
        match self.stop_reason:
            case Stop.CANCELLED | Stop.LEASE_LOST:
                return None
            case Stop.TIMED_OUT:
                return self._failed(f"timed out after {self._timeout_s:g} s")
            case Stop.SHUTDOWN:
                return self._verdict or Released(lease=self.lease)
            case None:
                return self._verdict

    def _failed(self, error: str, *, retryable: bool = True) -> Failed:
        return Failed(lease=self.lease, error=error[:ERROR_LENGTH], retryable=retryable)

    def leave_behind(self) -> None:
        """End now, whether or not the connector has given way."""
        if not self._over:
            self._log.error("connector_ignores_stop", job_id=self.lease.job_id, reason=self.stop_reason)
            self._finish()

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        for timer in self._timers:
            timer.cancel()
        self._publisher.close()
        self._ended(self, self._end())


def failure_in(result: Any) -> str | None:
    """The error in a result that is a failure in a success's clothes (`success` false, `status` failed), else None."""
    if not isinstance(result, dict):
        return None
    status = result.get("status")
    if result.get("success") is not False and not (isinstance(status, str) and status in {"failed", "error"}):
        return None
    error = result.get("error") or result.get("message") or "the connector reported a failure without an error"
    return error if isinstance(error, str) else msgspec.json.encode(error, enc_hook=str).decode()


def _describe(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
