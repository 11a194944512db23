"""The connector by which a worker of the stack plays scripts for the harness, and writes down what it ran.

    python -m new_stack.worker --connector harness.workers.scripted_connector:ScriptedConnector:journal=FOLDER,…

It is the harness's code in the stack's process: what it writes does not rest on the stack's word.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any, Final

import msgspec

from harness.protocols.script import STAMP, Step, reports_failure, steps_of
from harness.workers.journal import Journal, NoJournal, Run, journal_in
from new_stack.worker import Connector, ConnectorSettings, JobContext, JobFailed

CLASS: Final = f"{__name__}:ScriptedConnector"


class ScriptedSettings(ConnectorSettings, frozen=True, kw_only=True):
    """Where to write, and what the harness started the worker with."""

    journal: str = ""
    worker: str = ""
    serves: str = "*"
    """The services that the worker was given, with `+` between them."""
    places: int = 1


class ScriptedConnector(Connector):
    """Plays `{"simulate": [step, …]}` as `harness.protocols.script` says it."""

    Settings = ScriptedSettings
    _journal: Journal = NoJournal()

    async def open(self) -> None:
        """Open the journal, and say in it what this worker serves."""
        settings = self.settings
        self._journal = journal_in(settings.journal, settings.worker)
        self._journal.serving(settings.worker, settings.serves.split("+"), settings.places)

    async def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    async def run(self, job: JobContext) -> Any:
        """Play the script; the result is the last `result` step's, else a plain success."""
        with self._journal.run(self.settings.worker, job.job_id, job.service, job.attempt) as run:
            try:
                steps = steps_of(job.payload)
            except ValueError as error:
                run.failed()
                raise JobFailed(str(error), retryable=False) from error
            result: Any = {"status": "success"}
            for step in steps:
                await _play(step, job, run)
                result = result if step.result is msgspec.UNSET else step.result
            if reports_failure(result):
                run.failed()
            else:
                run.completed(result)
            return result


async def _play(step: Step, job: JobContext, run: Run) -> None:
    if step.sleep_ms is not None:
        await asyncio.sleep(step.sleep_ms / 1000)
    if step.progress is not None:
        run.step(step.progress)
        await job.progress(step.progress, step.message, details={STAMP: time.time()} if step.stamp else None)
    if step.fails(job.failures + 1):
        run.failed()
        raise JobFailed(str(step.fail))
    if step.crash:
        run.crash()
        os.kill(os.getpid(), signal.SIGKILL)
    if step.hang:
        await asyncio.Event().wait()
