"""`BlockingClient`: the same client for programs without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from new_stack.client.client import HybridClient, Mode
from new_stack.client.patience import Patience
from new_stack.client.words import Accepted, Gap, JobEvent, JobPage, JobStatus
from new_stack.queue.jobs import JobState

Result = TypeVar("Result")


class BlockingClient:
    """`with BlockingClient(url) as client`. May be used from several threads at once; what it raises is the same."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        client_id: str | None = None,
        mode: Mode = "auto",
        patience: Patience | None = None,
    ) -> None:

        def make() -> HybridClient:
            return HybridClient(url, token=token, client_id=client_id, mode=mode, patience=patience)

        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hubgate client", daemon=True)
        self._client: HybridClient | None = None

    def __enter__(self) -> Self:
        """Start the loop that does the work, in a thread of its own."""
        self._thread.start()
        self._client = self._do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and end the thread."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def client(self) -> HybridClient:
        """The client that does the work."""
        if self._client is None:
            raise RuntimeError("use the client as `with BlockingClient(…) as client`")
        return self._client

    @property
    def transport(self) -> str | None:
        """As HybridClient.transport."""
        return self.client.transport

    def submit(
        self,
        service: str,
        payload: dict[str, Any] | None = None,
        *,
        priority: int = 0,
        job_id: str | None = None,
        max_retries: int | None = None,
    ) -> Accepted:
        """As HybridClient.submit."""
        return self._do(self.client.submit(service, payload, priority=priority, job_id=job_id, max_retries=max_retries))

    def status(self, job_id: str) -> JobStatus:
        """As HybridClient.status."""
        return self._do(self.client.status(job_id))

    def cancel(self, job_id: str, reason: str = "Manually cancelled") -> JobStatus:
        """As HybridClient.cancel."""
        return self._do(self.client.cancel(job_id, reason))

    def retry(self, job_id: str) -> JobStatus:
        """As HybridClient.retry."""
        return self._do(self.client.retry(job_id))

    def jobs(
        self,
        *,
        status: JobState | str | None = None,
        service: str | None = None,
        worker_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """As HybridClient.jobs."""
        return self._do(
            self.client.jobs(status=status, service=service, worker_id=worker_id, limit=limit, cursor=cursor)
        )

    def follow(self, job_id: str, *, after: str | None = None) -> Iterator[JobEvent | Gap]:
        """As HybridClient.follow."""
        events = self.client.follow(job_id, after=after)
        try:
            while (event := self._do(_next(events))) is not None:
                yield event
        finally:
            self._do(_close(events))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobStatus:
        """As HybridClient.wait."""
        return self._do(self.client.wait(job_id, timeout_s=timeout_s))

    async def _open(self) -> HybridClient:
        return await self._make().__aenter__()

    async def _close(self) -> None:
        if self._client is not None:
            await self._client.__aexit__(None, None, None)

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _next(events: AsyncGenerator[JobEvent | Gap, None]) -> JobEvent | Gap | None:
    return await anext(events, None)


async def _close(events: AsyncGenerator[JobEvent | Gap, None]) -> None:
    await events.aclose()
