"""The connectors for REST back ends: `rest-sync` takes the answer as the result, `rest-async` polls for the result."""

from __future__ import annotations

import asyncio
from typing import Any

from new_stack.worker.connectors import JobContext, JobFailed
from new_stack.worker.connectors.http import HttpConnector, HttpSettings, fill, job_headers, run_remote


class RestSyncSettings(HttpSettings, frozen=True, kw_only=True):
    """`url` and `cancel_url` may contain {job_id} and {service}."""

    method: str = "POST"
    cancel_url: str = ""
    """Called with POST when a job is stopped; without it, the back end only sees the connection closed."""


class RestSyncConnector(HttpConnector):
    """Sends the payload as JSON; the answer's body is the result."""

    Settings = RestSyncSettings

    async def run(self, job: JobContext) -> Any:
        """Send one request and return its answer."""
        url = fill(self.settings.url, job)
        try:
            answer = await self.call(self.settings.method, url, body=job.payload, headers=job_headers(job), job=job)
        except asyncio.CancelledError:
            if self.settings.cancel_url:
                await self.notify("POST", fill(self.settings.cancel_url, job))
            raise
        return answer.content()


class RestAsyncSettings(HttpSettings, frozen=True, kw_only=True):
    """URLs may contain {job_id} and {service}; those after the first request also {id}, the back end's own id.

    A field is named by its path in the answer: `data.status`. Words are separated by `|`.
    """

    status_url: str
    cancel_url: str = ""
    cancel_method: str = "POST"
    id_field: str = "id"
    status_field: str = "status"
    progress_field: str = "progress"
    message_field: str = "message"
    result_field: str = "result"
    error_field: str = "error"
    done: str = "completed|complete|succeeded|success|done|finished"
    failed: str = "failed|failure|error|cancelled|canceled"
    progress_scale: float = 1
    """What the back end's progress is multiplied with to make percent: 100 where it runs from 0 to 1."""
    poll_ms: float = 1_000
    poll_failures: int = 5
    """How many polls in a row may fail before the back end counts as gone."""
    poll_timeout_s: float = 10


class RestAsyncConnector(HttpConnector):
    """Submits the payload as JSON, then polls."""

    Settings = RestAsyncSettings

    def __init__(self, settings: RestAsyncSettings) -> None:
        super().__init__(settings)
        self._done = frozenset(settings.done.lower().split("|"))
        self._failed = frozenset(settings.failed.lower().split("|"))

    async def run(self, job: JobContext) -> Any:
        """Submit and poll; the result is the answer's result field, or the whole answer where it has none."""

        async def stop(remote_id: str) -> None:
            if self.settings.cancel_url:
                await self.notify(self.settings.cancel_method, fill(self.settings.cancel_url, job, id=remote_id))

        return await run_remote(self._submit(job), lambda remote_id: self._follow(job, remote_id), stop)

    async def _submit(self, job: JobContext) -> str:
        url = fill(self.settings.url, job)
        answer = await self.call("POST", url, body=job.payload, headers=job_headers(job), job=job)
        remote_id = field(answer.json(), self.settings.id_field)
        if not isinstance(remote_id, str | int) or remote_id == "":
            raise JobFailed(f"the back end took the job but its answer has no {self.settings.id_field!r}")
        return str(remote_id)

    async def _follow(self, job: JobContext, remote_id: str) -> Any:
        url = fill(self.settings.status_url, job, id=remote_id)
        sent: tuple[float, str | None] | None = None
        while True:
            state = await self._poll(url)
            status = str(field(state, self.settings.status_field)).lower()
            if status in self._failed:
                error = field(state, self.settings.error_field)
                raise JobFailed(str(error) if error else f"the back end says that the job is {status}")
            progress = self._progress(state)
            if progress is not None and progress != sent:
                await job.progress(*progress)
                sent = progress
            if status in self._done:
                result = field(state, self.settings.result_field)
                return state if result is None else result
            await asyncio.sleep(self.settings.poll_ms / 1000)

    async def _poll(self, url: str) -> Any:
        """How the job stands. A few failures in a row are accepted: the job runs on behind them."""
        for failures in range(1, self.settings.poll_failures + 1):
            try:
                return (await self.call("GET", url, timeout_s=self.settings.poll_timeout_s)).json()
            except JobFailed as error:
                if failures == self.settings.poll_failures or not error.retryable:
                    raise
            await asyncio.sleep(self.settings.poll_ms / 1000)
        raise JobFailed("the back end was never asked: poll_failures is 0", retryable=False)

    def _progress(self, state: Any) -> tuple[float, str | None] | None:
        value = field(state, self.settings.progress_field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        message = field(state, self.settings.message_field)
        percent = min(100.0, max(0.0, value * self.settings.progress_scale))
        return percent, message if isinstance(message, str) else None


def field(value: Any, path: str) -> Any:
    """The value at a dotted path of an answer, or None."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
