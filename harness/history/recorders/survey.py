"""Asking the server: each job's state at the end of the run, and which jobs the workers say they run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

import httpx

from harness.history.events import HistoryEvent, Source
from harness.history.file import HistoryWriter
from harness.history.recorders.background import Background
from harness.protocols import EventKind, JobState

AT_ONCE: Final = 16
PATIENCE_S: Final = 30.0
STATES: Final = {str(state): state for state in JobState} | {"processing": JobState.CLAIMED}


async def survey(
    url: str, job_ids: Sequence[str], writer: HistoryWriter, *, token: str | None = None
) -> dict[str, JobState]:
    """Ask hub or stack for every job's state (`GET /api/jobs/{id}` of both) and write the answers down.

    A job that is not there is `unknown`; a server that does not answer raises httpx.HTTPError after some patience, for
    no answer is no evidence.
    """
    states: dict[str, JobState] = {}
    gate = asyncio.Semaphore(AT_ONCE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, headers=headers) as http:

        async def ask(job_id: str) -> None:
            async with gate:
                answer = await _patiently(http, f"/api/jobs/{job_id}")
            states[job_id] = _state(answer)
            writer.add(
                HistoryEvent(
                    at_ms=writer.clock(), source=Source.API, kind=EventKind.STATUS, job_id=job_id, state=states[job_id]
                )
            )

        async with asyncio.TaskGroup() as group:
            for job_id in job_ids:
                group.create_task(ask(job_id))
    return states


async def _patiently(http: httpx.AsyncClient, path: str) -> httpx.Response:
    """GET, again while the server is away or overloaded."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + PATIENCE_S
    while True:
        late = loop.time() > limit
        try:
            answer = await http.get(path)
        except httpx.TransportError:
            if late:
                raise
        else:
            if answer.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND):
                return answer
            if late:
                answer.raise_for_status()
                raise httpx.HTTPError(f"GET {path} was answered with {answer.status_code}")
        await asyncio.sleep(0.2)


def _state(answer: httpx.Response) -> JobState:
    if answer.status_code == httpx.codes.NOT_FOUND:
        return JobState.UNKNOWN
    word = str(answer.json().get("status"))
    if word not in STATES:
        raise httpx.HTTPError(f"a job's status is told as {word!r}, which is no state")
    return STATES[word]


class WorkerWatch(Background):
    """Reads `GET /api/workers` of a stack again and again and writes down what the workers say they run."""

    def __init__(self, url: str, writer: HistoryWriter, *, every_ms: float = 500, token: str | None = None) -> None:
        super().__init__()
        self._url = url
        self._writer = writer
        self._every_s = every_ms / 1000
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def follow(self) -> None:
        """See `Background`."""
        async with httpx.AsyncClient(base_url=self._url, timeout=5, headers=self._headers) as http:
            while True:
                with contextlib.suppress(httpx.HTTPError):  # the API may be down on purpose
                    answer = await http.get("/api/workers")
                    if answer.status_code == httpx.codes.OK:
                        self.take(answer.json())
                        self.ready.set()
                await asyncio.sleep(self._every_s)

    def take(self, answer: dict[str, Any]) -> None:
        """One answer. What counts is when the worker said it (`seen_at`), not when it was read."""
        for worker in answer.get("workers", ()):
            if worker.get("alive"):
                self._writer.add(
                    HistoryEvent(
                        at_ms=float(worker.get("seen_at") or self._writer.clock()),
                        source=Source.API,
                        kind=EventKind.WORKER_STATUS,
                        worker_id=str(worker["worker_id"]),
                        running=tuple(str(job_id) for job_id in worker.get("running") or ()),
                    )
                )
