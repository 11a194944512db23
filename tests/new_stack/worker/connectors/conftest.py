"""A job to give a connector, and a real server for it to talk to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from new_stack.queue import EventKind, Lease, ProgressUpdate
from new_stack.worker import Connector, JobContext
from new_stack.worker.connector_spec import ConnectorSpec


class Heard:
    """What a connector reported, in order."""

    def __init__(self) -> None:
        self.updates: list[ProgressUpdate] = []
        self.notes: list[ProgressUpdate] = []
        self.came = asyncio.Event()

    async def send(self, update: ProgressUpdate) -> None:
        self.report(update)

    def report(self, update: ProgressUpdate) -> None:
        if update.kind is not EventKind.PROGRESS:
            self.notes.append(update)
            return
        self.updates.append(update)
        self.came.set()

    @property
    def percents(self) -> list[float]:
        return [update.progress for update in self.updates]


class GivenJob(JobContext):
    """An assignment without a queue behind it."""

    __slots__ = ("heard",)

    def __init__(self, payload: dict[str, Any], *, job_id: str = "job/1", service: str = "pictures") -> None:
        lease = Lease(
            job_id=job_id,
            attempt=2,
            worker_id="w1",
            service_required=service,
            payload=msgspec.Raw(msgspec.json.encode(payload)),
            priority=0,
            client_id=None,
            max_retries=3,
            failures=1,
            expires_at=0,
        )
        self.heard = Heard()
        super().__init__(lease, self.heard)


Serve = Callable[[web.Application], Awaitable[TestServer]]
Open = Callable[[str], Awaitable[Connector]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Run an application on a port of its own."""
    servers: list[TestServer] = []

    async def start(app: web.Application) -> TestServer:
        server = TestServer(app, host="127.0.0.1")
        await server.start_server(shutdown_timeout=0.1)
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def connect() -> AsyncIterator[Open]:
    """Build and open a connector from `NAME:SETTINGS`."""
    opened: list[Connector] = []

    async def open_connector(text: str) -> Connector:
        connector = ConnectorSpec.parse(text).build()
        await connector.open()
        opened.append(connector)
        return connector

    yield open_connector
    for connector in opened:
        await connector.close()


async def stopped(task: asyncio.Task[Any]) -> None:
    """Cancel a run as the worker does, and hold that it gives way."""
    task.cancel()
    async with asyncio.timeout(2):
        await asyncio.wait([task])
    assert task.cancelled()
