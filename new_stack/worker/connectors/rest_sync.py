"""The connector for back ends that answer a request with its result."""

from __future__ import annotations

import asyncio
from typing import Any

from new_stack.worker.connectors.connector import Connector, JobContext
from new_stack.worker.connectors.http import Backend, HttpSettings, fill, job_headers


class RestSyncSettings(HttpSettings, frozen=True, kw_only=True):
    """`url` and `cancel_url` may contain {job_id} and {service}."""

    method: str = "POST"
    cancel_url: str = ""
    """Called with POST when a job is stopped; without it, the closed connection has to say it."""


class RestSyncConnector(Connector):
    """Sends the payload as JSON; the answer's body is the result."""

    Settings = RestSyncSettings

    def __init__(self, settings: RestSyncSettings) -> None:
        super().__init__(settings)
        self._backend = Backend(settings)

    async def open(self) -> None:
        """Open the session."""
        await self._backend.open()

    async def close(self) -> None:
        """Close the session."""
        await self._backend.close()

    async def run(self, job: JobContext) -> Any:
        """One request, one result."""
        url = fill(self.settings.url, job)
        try:
            answer = await self._backend.call(self.settings.method, url, body=job.payload, headers=job_headers(job))
        except asyncio.CancelledError:
            if self.settings.cancel_url:
                await self._backend.tell("POST", fill(self.settings.cancel_url, job))
            raise
        return answer.content()
