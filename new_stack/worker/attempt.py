"""One attempt at one job: runs the connector, and turns whatever it does into exactly one end."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from new_stack.queue.errors import QueueError
from new_stack.queue.jobs import Completed, End, Failed, Lease
from new_stack.worker.connectors import Connector, JobContext, JobFailed
from new_stack.worker.connectors.result import encode_result, failure_in
from new_stack.worker.context import WorkerContext
from new_stack.worker.progress import ProgressPublisher

ERROR_LENGTH: Final = 8_000
"""An error's text is cut beyond so many characters: it is kept for people to read, in Redis."""


class Attempt:
    """A lease being worked on. `ended` is called once, with the end, or with None where the queue needs none."""

    def __init__(
        self, context: WorkerContext, lease: Lease, connector: Connector, ended: Callable[[End | None], None]
    ) -> None:
        self.lease = lease
        self.connector = connector
        self._log = context.log
        self.publisher = ProgressPublisher(
            partial(context.queue.progress, lease), self.progress_refused, context.redis_backoff
        )
        self.outcome: End | None = None
        """What the connector has come to."""
        self.over = False
        self.task: asyncio.Task[None] | None = None
        self._ended = ended

    def start(self) -> None:
        """Begin."""
        self.task = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        """Run the connector, and end as it does."""
        self.outcome = await self._run_connector()
        await self.wind_up()

    async def wind_up(self) -> None:
        """Send all that was said, and end."""
        await self.publisher.flush()
        self.finish()

    def finish(self) -> None:
        """End, once."""
        if not self.over:
            self.over = True
            self.publisher.close()
            self._ended(self.end())

    def end(self) -> End | None:
        """What the attempt comes to."""
        return self.outcome

    def progress_refused(self, error: QueueError) -> None:
        """Redis does not take what the connector says."""
        self._log.error("progress_refused", job_id=self.lease.job_id, error=str(error))

    async def _run_connector(self) -> End:
        try:
            return self._end_for(await self.connector.run(JobContext(self.lease, self.publisher)))
        except JobFailed as failure:
            cause = failure.__cause__ or failure
            return self.failed(failure.error, retryable=failure.retryable, error_type=_type_of(cause))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self.failed("the connector gave up without saying why")
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a connector raises ends its job, never the worker
            trace = "".join(traceback.format_exception(error, limit=-20))
            self._log.error("connector_raised", job_id=self.lease.job_id, error=_describe(error), traceback=trace)
            return self.failed(_describe(error), error_type=_type_of(error), trace=trace)

    def _end_for(self, result: Any) -> End:
        error = failure_in(result)
        if error is not None:
            return self.failed(error)
        try:
            return Completed(lease=self.lease, result=msgspec.Raw(encode_result(result)))
        except (TypeError, ValueError, OverflowError, RecursionError) as unencodable:
            return self.failed(f"the connector's result is not JSON: {unencodable}", retryable=False)

    def failed(self, error: str, *, retryable: bool = True, error_type: str = "", trace: str = "") -> Failed:
        """The end of an attempt that failed."""
        error = error[:ERROR_LENGTH]
        return Failed(lease=self.lease, error=error, retryable=retryable, error_type=error_type, traceback=trace)


def _type_of(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _describe(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
