"""Recorders: what each party receives, written down as history. All but the clients' run beside the run.

A client records by what it is given: `LegacyClient(url, "c", **recorded(writer, "c"))`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from typing import Any, Final, TypedDict

import httpx
import redis.asyncio
from redis.exceptions import RedisError

from harness.clients.sessions import Clock, HubSession, Observe, StackSession
from harness.clients.stack_client import ModernClient, read_patiently
from harness.clients.transport import Background, Http, Socket, Unreachable
from harness.history import HistoryEvent, HistoryWriter, Source, client_event, log_event
from harness.protocols import LOG_KINDS, EventKind, JobEvent, JobState, hub, stack
from harness.tasks import few_at_once

RECONNECT_S: Final = 0.1
REDIS_BLOCK_MS: Final = 500
REDIS_COUNT: Final = 1_000
SURVEYED_AT_ONCE: Final = 16
SURVEY_PATIENCE_S: Final = 30.0


class Recorded(TypedDict):
    """What makes a client record."""

    observe: Observe
    clock: Clock


def recorded(writer: HistoryWriter, name: str) -> Recorded:
    """Have a client write down what it asks for and receives, by the history's clock."""

    def observe(event: JobEvent) -> None:
        seen = client_event(event, name, writer.clock())
        if seen is not None:
            writer.add(seen)

    return Recorded(observe=observe, clock=lambda: writer.clock() / 1000)


class _LogRecorder(Background):
    """Writes down the system's own account."""

    def __init__(self, writer: HistoryWriter, source: Source, by: str) -> None:
        super().__init__()
        self.recorded = 0
        self._writer = writer
        self._source = source
        self._by = by

    def _observe(self, event: JobEvent) -> None:
        at_ms = self._writer.clock()
        if event.kind is EventKind.GAP:
            note = (event.message or "")[:200]
            self._writer.add(HistoryEvent(at_ms=at_ms, source=self._source, kind=EventKind.GAP, by=self._by, note=note))
        elif event.kind in LOG_KINDS:
            self.recorded += 1
            self._writer.add(log_event(event, self._source, self._by, at_ms))


class HubRecorder(_LogRecorder):
    """The hub's own account: it listens as a monitor. The hub keeps nothing for who was away: that is a gap."""

    def __init__(self, ws_url: str, writer: HistoryWriter, *, name: str = "history", token: str | None = None) -> None:
        super().__init__(writer, Source.MONITOR, "monitor")
        self._session = HubSession(name, role="monitor", observe=self._observe)
        self._url = hub.websocket_url(ws_url, self._session.path, token)

    async def follow(self) -> None:
        """See `Background`."""
        lost = asyncio.Event()
        socket = Socket(self._session.receive, lambda *_: lost.set(), name="the hub's recorder")
        try:
            while True:
                lost.clear()
                with contextlib.suppress(Unreachable):
                    await socket.open(self._url)
                    if self.ready.is_set():
                        self._observe(JobEvent(kind=EventKind.GAP, message="reconnected"))
                    self.ready.set()
                    await lost.wait()
                await asyncio.sleep(RECONNECT_S)
        finally:
            await socket.close()


class StackRecorder(_LogRecorder):
    """The stack's own account, by `GET /api/events`, across restarts of the API, from the last id that it saw.

    A `gap` that the API reports is written down: checkers that need the whole log cannot be sure then. It begins
    behind the id `since`: by default with all that the stream holds. Of several API processes it asks each in turn.
    """

    def __init__(
        self, urls: str | list[str], writer: HistoryWriter, *, token: str | None = None, since: str = "0-0"
    ) -> None:
        super().__init__(writer, Source.REDIS, "events")
        self._urls = [urls] if isinstance(urls, str) else urls
        self._stream = StackSession("history", token=token, observe=self._observe).follow_all(since)

    async def follow(self) -> None:
        """See `Background`."""
        servers = [Http(url) for url in self._urls]
        try:
            for http in itertools.cycle(servers):
                await read_patiently(http, self._stream, connected=self.ready.set)
                await asyncio.sleep(RECONNECT_S)
        finally:
            for http in servers:
                await http.close()


class RedisRecorder(_LogRecorder):
    """The stack's own account, read from the stream `events` in Redis itself: it needs no API, which may be killed or
    wrong. It follows through restarts of Redis, and only reads.
    """

    def __init__(self, redis_url: str, writer: HistoryWriter, *, prefix: str = "", since: str = "0-0") -> None:
        super().__init__(writer, Source.REDIS, "events")
        self._url = redis_url
        self._stream = f"{prefix}events"
        self._last_id = since

    async def follow(self) -> None:
        """See `Background`."""
        connection = redis.asyncio.Redis.from_url(self._url, decode_responses=True, socket_connect_timeout=5)
        try:
            while True:
                with contextlib.suppress(RedisError, OSError):  # Redis may be down on purpose
                    await self._read(connection)
                await asyncio.sleep(RECONNECT_S)
        finally:
            await connection.aclose()

    async def _read(self, connection: redis.asyncio.Redis) -> None:
        await connection.ping()
        self.ready.set()
        while True:
            streams: Any = {self._stream: self._last_id}
            reply: Any = await connection.xread(streams, count=REDIS_COUNT, block=REDIS_BLOCK_MS)
            for _, entries in reply or ():
                for entry, fields in entries:
                    self._last_id = entry
                    event = stack.event_of(fields, event_id=entry)
                    if event is not None:
                        self._observe(event)


class WorkerWatch(Background):
    """Reads `GET /api/workers` of a stack again and again and writes down which jobs the workers report as running."""

    def __init__(self, url: str, writer: HistoryWriter, *, every_ms: float = 500, token: str | None = None) -> None:
        super().__init__()
        self._url = url
        self._writer = writer
        self._every_s = every_ms / 1000
        self._token = token

    async def follow(self) -> None:
        """See `Background`."""
        http = Http(self._url, token=self._token, timeout_s=5)
        try:
            while True:
                with contextlib.suppress(httpx.HTTPError):  # the API may be down on purpose
                    answer = await http.send_raw("GET", stack.WORKERS)
                    if answer.status == httpx.codes.OK:
                        self._take(answer.fields)
                        self.ready.set()
                await asyncio.sleep(self._every_s)
        finally:
            await http.close()

    def _take(self, answer: dict[str, Any]) -> None:
        """One answer. What counts is when the worker reported it (`seen_at`), not when it was read."""
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


async def survey(
    url: str, job_ids: Sequence[str], writer: HistoryWriter, *, token: str | None = None
) -> dict[str, JobState]:
    """Ask hub or stack for every job's state (`GET /api/jobs/{id}` of both) and write the answers down.

    A job that is not there is `unknown`; a server that does not answer raises httpx.HTTPError or Refused after some
    patience, for no answer is no evidence.
    """
    client = ModernClient(url, token=token, patience_s=SURVEY_PATIENCE_S, **recorded(writer, ""))
    async with client:
        states = await few_at_once(client.state, job_ids, SURVEYED_AT_ONCE)
    return dict(zip(job_ids, states, strict=True))
