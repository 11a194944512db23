"""Calling one function of the library alone, and looking at the keys that it leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from new_stack.queue import Queue, QueueSettings
from new_stack.queue.connection import Argument, Connection
from new_stack.queue.endpoint import Address, Endpoint
from new_stack.queue.function_caller import FunctionCaller


def connection_to(url: str, *, timeout: float = 5) -> Connection:
    return Connection(Endpoint(Address.parse(url), timeout=timeout, prefix="{t}"), timeout=timeout)


class Redis:
    """The queue's functions and plain commands, under one prefix."""

    def __init__(self, caller: FunctionCaller) -> None:
        self.caller = caller
        self.prefix = caller.keys.prefix

    async def write(self, function: str, *arguments: Argument) -> Any:
        return await self.caller.write(function, *arguments)

    async def read(self, function: str, *arguments: Argument) -> Any:
        return await self.caller.read(function, *arguments)

    async def command(self, name: str, key: str, *arguments: Argument) -> Any:
        """A plain command on a key of this prefix."""
        return await self.caller.connection.call(name, self.prefix + key, *arguments)

    async def submit(self, job_id: str, priority: int = 0, *, service: str = "s", retries: int = 3) -> Any:
        [reply] = await self.write("submit", 1, job_id, service, "{}", priority, "", retries, "digest", "")
        return reply

    async def end(self, kind: str, job_id: str, attempt: int = 1, body: str = "null", again: str = "1") -> bytes:
        """End a job of worker w1; the word that answers it."""
        [[word], _] = await self.write("end_and_claim", "w1", 0, 1, kind, job_id, attempt, "w1", body, again)
        return word

    async def record(self, job_id: str) -> dict[str, str]:
        flat = await self.command("HGETALL", f"job:{job_id}")
        return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}

    async def kinds(self, job_id: str) -> list[str]:
        entries = await self.command("XRANGE", f"progress:{job_id}", "-", "+")
        return [entry[1][1].decode() for entry in entries]


@pytest.fixture
async def redis(queue: Queue, settings: QueueSettings) -> AsyncIterator[Redis]:
    caller = FunctionCaller(settings, install=False)
    yield Redis(caller)
    caller.close()
