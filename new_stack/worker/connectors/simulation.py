"""The connector that plays the script in the payload: for tests, load and the gate."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import msgspec

from new_stack.worker.connectors import Connector, ConnectorSettings, JobContext, JobFailed

DEFAULT_STEPS: Final = (25.0, 50.0, 75.0, 100.0)
"""The progress that a job without a script makes."""


class SimulationSettings(ConnectorSettings, frozen=True, kw_only=True):
    """How a job without a script runs."""

    step_ms: float = 10
    """The pause before each of the default steps."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a script; what is given happens in this order."""

    sleep_ms: float | None = None
    block_ms: float | None = None
    """Blocks the thread, as a connector should not."""
    progress: float | None = None
    message: str | None = None
    log: str | None = None
    stamp: bool = False
    """With `progress`: its details carry `sent_at`, when the worker sent it, in seconds since the epoch."""
    fail: str | None = None
    attempts: int | None = None
    """With `fail`: only so many attempts fail; every one without it."""
    result: Any = msgspec.UNSET
    hang: bool = False


class SimulationConnector(Connector):
    """Plays `{"simulate": [step, …]}`; a job without one makes a few steps and succeeds."""

    Settings = SimulationSettings

    async def run(self, job: JobContext) -> Any:
        """Play the script; the result is the last `result` step's, else a plain success."""
        if "simulate" not in job.payload:
            return await self._default(job)
        try:
            script = msgspec.convert(job.payload["simulate"], list[Step])
        except msgspec.ValidationError as error:
            raise JobFailed(f"payload.simulate is not a script: {error}", retryable=False) from error
        result: Any = {"status": "success"}
        for step in script:
            result = await self._play(step, job, result)
        return result

    async def _default(self, job: JobContext) -> dict[str, str]:
        for percent in DEFAULT_STEPS:
            await asyncio.sleep(self.settings.step_ms / 1000)
            await job.progress(percent)
        return {"status": "success"}

    async def _play(self, step: Step, job: JobContext, result: Any) -> Any:
        if step.sleep_ms is not None:
            await asyncio.sleep(step.sleep_ms / 1000)
        if step.block_ms is not None:
            time.sleep(step.block_ms / 1000)  # noqa: ASYNC251 - that is what is asked for
        if step.log is not None:
            job.log(step.log)
        if step.progress is not None:
            details = {"sent_at": time.time()} if step.stamp else None
            await job.progress(step.progress, step.message, details=details)
        if step.fail is not None and (step.attempts is None or job.failures < step.attempts):
            raise JobFailed(step.fail)
        if step.hang:
            await asyncio.Event().wait()
        return result if step.result is msgspec.UNSET else step.result
