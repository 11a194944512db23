"""The functions library: how it is put together and loaded into Redis, and how its functions are called.

A function set is global to a server, whatever the database or prefix. So a process loads its library only where none
is loaded or an older one is: processes of two versions side by side settle on the newer and do not flap. Arguments
may be added at the end by a newer version, never moved.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from new_stack.queue.connection import Address, Argument, Connection, RedisRefused, Reply
from new_stack.queue.errors import QueueUnavailable, RedisTooOld
from new_stack.queue.settings import QueueSettings

VERSION: Final = 1
"""Raise it with every change of a Lua file."""

NAME: Final = "hubgate"
FOLDER: Final = Path(__file__).parent / "functions"
_INCLUDE: Final = re.compile(r"^--@include +(.+)$", re.MULTILINE)


@cache
def source() -> str:
    """The library's Lua text."""
    pieces: dict[str, str] = {}
    functions = sorted(FOLDER.glob("*.lua"))
    for function in functions:
        for name in _includes(function.read_text()):
            _collect(name, pieces)
    bodies = [f"do\n{function.read_text()}end\n" for function in functions]
    return "\n".join([f"#!lua name={NAME}\nlocal VERSION = {VERSION}\n", *pieces.values(), *bodies])


def _includes(text: str) -> list[str]:
    return [name for line in _INCLUDE.findall(text) for name in line.split()]


def _collect(name: str, pieces: dict[str, str]) -> None:
    """Add a shared piece after those that it needs itself, once."""
    if name in pieces:
        return
    text = (FOLDER / "shared" / f"{name}.lua").read_text()
    for needed in _includes(text):
        _collect(needed, pieces)
    pieces[name] = text


async def loaded_version(connection: Connection, key: str) -> int:
    """The version of the library that the server has; 0 where it has none. Raises RedisTooOld."""
    try:
        return int(await connection.call("FCALL_RO", f"{NAME}_version", 1, key))
    except RedisRefused as refused:
        if is_missing(refused):
            return 0
        raise_if_too_old(refused)
        raise


async def install_library(connection: Connection, key: str) -> None:
    """Load the library unless the same or a newer version is there. Raises RedisTooOld, QueueUnavailable."""
    loaded = await loaded_version(connection, key)
    if loaded >= VERSION:
        return
    replace = ("REPLACE",) if loaded else ()
    try:
        await connection.call("FUNCTION", "LOAD", *replace, source())
    except RedisRefused as refused:
        if not loaded and await loaded_version(connection, key):
            return  # somebody else was quicker
        if "already exists" in str(refused):
            await connection.call("FUNCTION", "LOAD", "REPLACE", source())
            return
        raise


def is_missing(refused: RedisRefused) -> bool:
    """Whether the server does not have the function (a restart without persistence loses the library)."""
    return "Function not found" in str(refused)


def raise_if_too_old(refused: RedisRefused) -> None:
    """Raises RedisTooOld where the refusal says that the server does not know Redis Functions."""
    if "unknown command" in str(refused).lower():
        raise RedisTooOld(
            "this Redis has no Redis Functions: hubgate needs Redis 7 or Valkey 7.2, or newer"
        ) from refused


class Keys(msgspec.Struct, frozen=True):
    """Every key starts with the prefix; the Lua library derives its keys from `pending` alone (functions/shared)."""

    prefix: str = ""

    @property
    def pending(self) -> str:
        """The pending jobs, a sorted set; also the key by which each function call is routed and learns the prefix."""
        return f"{self.prefix}jobs:pending"

    @property
    def wake(self) -> str:
        """The list on which idle workers wait: one token for each job that may be claimed, at most."""
        return f"{self.prefix}jobs:wake"

    @property
    def events(self) -> str:
        """The stream of all jobs' events."""
        return f"{self.prefix}events"

    def job(self, job_id: str) -> str:
        """One job's record, a hash."""
        return f"{self.prefix}job:{job_id}"

    def progress(self, job_id: str) -> str:
        """The stream of one job's events."""
        return f"{self.prefix}progress:{job_id}"

    def signals(self, worker_id: str) -> str:
        """The list of words to one worker."""
        return f"{self.prefix}worker:{worker_id}:signals"


class FunctionCaller:
    """Calls the functions for one `Queue`, over one connection; waits that block get connections of their own."""

    def __init__(self, settings: QueueSettings, *, install: bool) -> None:
        self.settings = settings
        self.keys = Keys(settings.prefix)
        self.may_install = install
        self._address = Address.parse(settings.redis_url)
        self._timeout = settings.call_timeout_ms / 1000
        self.connection = Connection(self._address, timeout=self._timeout)
        self._resting: list[Connection] = []
        self._lent: set[Connection] = set()
        self._installing = asyncio.Lock()
        terms: tuple[Argument, ...] = (
            settings.progress_stream_length,
            settings.events_stream_length,
            settings.lease_ms,
            settings.finished_ttl_ms,
            settings.inline_result_limit,
            settings.retry_backoff_ms,
            settings.retry_backoff_max_ms,
            settings.max_deliveries,
            settings.heartbeat_ttl_ms,
            settings.forget_worker_ms,
        )
        self._terms = (len(terms), *terms)

    def change(self, function: str, *arguments: Argument) -> tuple[Argument, ...]:
        """The command that calls a function which changes something."""
        return ("FCALL", f"hubgate_{function}", 1, self.keys.pending, *self._terms, *arguments)

    async def write(self, function: str, *arguments: Argument) -> Reply:
        """Call a function that changes something."""
        return await self._call(self.change(function, *arguments))

    async def read(self, function: str, *arguments: Argument) -> Reply:
        """Call a function that only reads."""
        return await self._call(("FCALL_RO", f"hubgate_{function}", 1, self.keys.pending, *arguments))

    async def _call(self, command: tuple[Argument, ...]) -> Reply:
        try:
            return await self.connection.call(*command)
        except RedisRefused as refused:
            if not is_missing(refused):
                raise
            await self.reinstall(refused)
            return await self.connection.call(*command)

    async def reinstall(self, refused: RedisRefused) -> None:
        """Load the library again after the server lost it. Raises QueueUnavailable where this process may not."""
        if not self.may_install:
            raise QueueUnavailable(
                "Redis has lost the queue's functions, and this process may not load them"
            ) from refused
        async with self._installing:
            await install_library(self.connection, self.keys.pending)

    @asynccontextmanager
    async def blocking(self) -> AsyncIterator[Connection]:
        """Lend a connection of its own for a call that blocks. Whoever breaks off must close it first."""
        connection = (
            self._resting.pop() if self._resting else Connection(self._address, timeout=self._timeout, blocking=True)
        )
        self._lent.add(connection)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        finally:
            self._lent.discard(connection)
            self._resting.append(connection)

    def close(self) -> None:
        """Close every connection."""
        for connection in (self.connection, *self._resting, *self._lent):
            connection.close()
