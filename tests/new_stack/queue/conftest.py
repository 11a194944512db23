"""Calling one function of the library alone, and looking at the keys that it leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from harness.testing.job_records import read_record, write_record
from new_stack.queue import Lease, Queue, QueueSettings
from new_stack.queue.connection import Argument, Connection
from new_stack.queue.decoding import leases_of
from new_stack.queue.endpoint import Endpoint
from new_stack.queue.failover.address import Address
from new_stack.queue.function_caller import FunctionCaller


def connection_to(url: str, *, timeout: float = 5) -> Connection:
    return Connection(Endpoint(Address.parse(url), timeout=timeout, prefix="{t}"))


class Redis:
    """The queue's functions and plain commands, under one prefix."""

    def __init__(self, caller: FunctionCaller) -> None:
        self.caller = caller
        self.prefix = caller.settings.prefix

    async def write(self, function: str, *arguments: Argument) -> Any:
        return await self.caller.write(function, *arguments)

    async def read(self, function: str, *arguments: Argument) -> Any:
        return await self.caller.read(function, *arguments)

    async def command(self, name: str, key: str, *arguments: Argument) -> Any:
        """A plain command on a key of this prefix."""
        return await self.caller.connection.call(name, self.prefix + key, *arguments)

    async def submit(self, job_id: str, priority: int = 0, *, service: str = "s", retries: int = 3) -> Any:
        row = submission(job_id, service_required=service, priority=priority, max_retries=retries)
        [reply] = await self.write("submit", 1, *row)
        return reply

    async def claim(
        self, worker_id: str, count: int, *, services: str = "*", running: int = 0, idle_ms: int = 0
    ) -> list[Lease]:
        places = (running, idle_ms, count)
        _, rows = await self.write("end_and_claim", worker_id, class_of(services), services, *places, 0)
        return leases_of(rows)

    async def lapse(self, job_id: str) -> None:
        """Have the job's lease run out long ago."""
        await self.command("ZADD", "leases", 5, job_id)

    async def beat(self, worker_id: str, *, services: str = "*", report: str = "{}") -> Any:
        return await self.write("heartbeat", worker_id, class_of(services), services, report)

    async def end(self, kind: str, job_id: str, attempt: int = 1, body: str = "null", again: str = "1") -> bytes:
        """End a job of worker w1; the word that answers it."""
        worker = ("w1", "*", "*", 0, 0)
        end = (kind, job_id, attempt, "w1", body, again, "", "")
        [[word], _] = await self.write("end_and_claim", *worker, 0, 1, *end)
        return word

    async def listed(self, below: str, limit: int, inspect: int, size: int, **wanted: str) -> Any:
        """A page of the jobs whose records have these fields, with their bodies."""
        return await self.read("list", msgspec.msgpack.encode(wanted), "", below, limit, inspect, size, "1")

    async def record(self, job_id: str) -> dict[str, Any]:
        packed = await self.command("GET", f"record:{job_id}")
        return read_record(packed)

    async def change(self, job_id: str, **fields: Any) -> None:
        """Damage a record by hand; None takes a field out."""
        record = await self.record(job_id) | fields
        kept = {name: value for name, value in record.items() if value is not None}
        await self.command("SET", f"record:{job_id}", write_record(kept))

    async def ready(self, service: str = "s") -> list[str]:
        """The ready jobs of a service, the next one first."""
        members = await self.command("ZRANGE", f"ready:{service}", 0, -1, "REV")
        return [member.decode()[10:] for member in members]

    async def kinds(self, job_id: str) -> list[str]:
        entries = await self.read("history", job_id, "0", 1000, 16_384)
        return [entry[1][1].decode() for entry in entries]


def submission(job_id: str, *, payload: str = "{}", digest: str = "digest", **record: Any) -> tuple[Argument, ...]:
    """A job as `submit` takes it."""
    record = {"service_required": "s", "priority": 0, "max_retries": 3} | record
    return (job_id, digest, msgspec.msgpack.encode(record), payload)


def class_of(services: str) -> str:
    return services.replace("\n", "+")


@pytest.fixture
async def redis(queue: Queue, settings: QueueSettings) -> AsyncIterator[Redis]:
    caller = FunctionCaller(settings, install=False)
    yield Redis(caller)
    caller.close()
