"""The functions library: how it is put together and loaded into Redis, and how its functions are called.

A function set is global to a server, whatever the database or prefix. So a process loads its library only where none
is loaded or an older one is: processes of two versions side by side settle on the newer and do not flap. Arguments of
a released version may be added to at the end, never moved: where they are, the older processes have to stop first.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakSet

import msgspec

from new_stack.matching.library import rule
from new_stack.queue.acknowledgement import Acknowledgement
from new_stack.queue.connection import Argument, Command, Connection, Reply
from new_stack.queue.endpoint import Endpoint
from new_stack.queue.errors import QueueUnavailable, RedisRefused, RedisTooOld
from new_stack.queue.failover.address import Address
from new_stack.queue.failover.following import FollowingConnection
from new_stack.queue.settings import QueueSettings

T = TypeVar("T")

VERSION: Final = 11
"""Raise it with every change of a Lua file."""

NAME: Final = "hubgate"
FOLDER: Final = Path(__file__).parent / "functions"
RULE: Final = "why_not"
"""The piece that stands in new_stack.matching: which worker may take which job."""

_INCLUDE: Final = re.compile(r"^--@include +(.+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"--.*")
_LOCAL: Final = re.compile(r"^local (function )?(\w+(?:, \w+)*)", re.MULTILINE)


@cache
def source() -> str:
    """The library's Lua text: each shared piece after those that it needs itself, then the functions."""
    pieces = {path.stem: path.read_text() for path in sorted((FOLDER / "shared").glob("*.lua"))} | {RULE: rule()}
    needed = {name: " ".join(_INCLUDE.findall(text)).split() for name, text in pieces.items()}
    order = TopologicalSorter(needed).static_order()
    functions = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.lua"))}
    words = {name: set(re.findall(r"\w+", _COMMENT.sub("", text))) for name, text in (pieces | functions).items()}
    shared = [_scoped(pieces[name], set().union(*(words[other] for other in words if other != name))) for name in order]
    # Each is a Lua function, whose locals are its own: a whole chunk may have 200.
    bodies = [f"do local function define()\n{text}end define() end\n" for text in functions.values()]
    return "\n".join([f"#!lua name={NAME}\nlocal VERSION = {VERSION}\n", *shared, *bodies])


def _scoped(piece: str, said_elsewhere: set[str]) -> str:
    """A piece in a block of its own, of whose locals the chunk has only those that others name."""
    shared: list[str] = []

    def declare(match: re.Match[str]) -> str:
        function, names = match.groups(default="")
        if said_elsewhere.isdisjoint(names.split(", ")):
            return match[0]
        shared.append(names)
        return function + names if piece[match.end()] != "\n" else ""

    text = _LOCAL.sub(declare, piece)
    return f"local {', '.join(shared)}\ndo\n{text}end\n" if shared else f"do\n{text}end\n"


async def loaded_version(connection: Connection, key: str) -> int:
    """The version of the library that the server has; 0 where it has none. Raises RedisTooOld."""
    try:
        return int(await connection.call("FCALL_RO", f"{NAME}_version", 1, key))
    except RedisRefused as refused:
        if is_missing(refused):
            return 0
        if "unknown command" in str(refused).lower():
            too_old = "this Redis has no Redis Functions: hubgate needs Redis 7 or Valkey 7.2, or newer"
            raise RedisTooOld(too_old) from refused
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
        if "already exists" not in str(refused):
            raise
        if not await loaded_version(connection, key):  # nobody else was quicker: it is another library of that name
            await connection.call("FUNCTION", "LOAD", "REPLACE", source())


IDLE_S: Final = 30.0
"""How long a connection for blocking waits may rest before it is closed."""


def is_missing(refused: RedisRefused) -> bool:
    """Whether the server does not have the function (a restart without persistence loses the library)."""
    return "Function not found" in str(refused)


class FunctionCaller:
    """Calls the functions for one `Queue`, over one connection; waits that block get connections of their own."""

    def __init__(self, settings: QueueSettings, *, install: bool) -> None:
        self.settings = settings
        self._ready = self.key("ready")
        self._may_install = install
        timeout = settings.call_timeout_ms / 1000
        self._endpoint = Endpoint(Address.parse(settings.redis_url), timeout=timeout, prefix=settings.prefix)
        self._connections: WeakSet[Connection] = WeakSet()
        self.connection = self._connect()
        self._resting: dict[Connection, asyncio.TimerHandle] = {}
        self._installing = asyncio.Lock()
        kind, barrier, wait_ms = settings.acknowledgement, self.key("barrier"), settings.call_timeout_ms
        self._acknowledged = Acknowledgement(kind, self.connection, self._connect, barrier, wait_ms=wait_ms)
        numbers = (field.name for field in msgspec.structs.fields(settings) if field.type is int)
        self._terms = msgspec.msgpack.encode({name: getattr(settings, name) for name in numbers})

    def _connect(self) -> Connection:
        return FollowingConnection(self._endpoint, others=self._connections)

    def key(self, name: str) -> str:
        """A key of this queue. The Lua library derives its keys from `ready` alone, which tells it the prefix.

        None is named as one of the first Redis-direct stack's (`jobs:pending`, `job:{id}`, …): its workers, pointed at
        the same Redis, find nothing of ours to take.
        """
        return f"{self.settings.prefix}{name}"

    def change(self, function: str, *arguments: Argument) -> Command:
        """The command that calls a function which changes something."""
        return ("FCALL", f"hubgate_{function}", 1, self._ready, self._terms, *arguments)

    async def write(self, function: str, *arguments: Argument) -> Reply:
        """Call a function that changes something."""
        return await self.insist(self.connection.call, *self.change(function, *arguments))

    async def commit(self, function: str, *arguments: Argument) -> Reply:
        """Call a function whose change must survive what the setting `acknowledgement` says before it is answered."""
        return await self.insist(self._acknowledged.call, *self.change(function, *arguments))

    async def read(self, function: str, *arguments: Argument) -> Reply:
        """Call a function that only reads."""
        return await self.insist(self.connection.call, "FCALL_RO", f"hubgate_{function}", 1, self._ready, *arguments)

    async def insist(self, call: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Call functions; where the server has lost them, load them and call again.

        Raises QueueUnavailable where this process may not load them.
        """
        try:
            return await call(*arguments)
        except RedisRefused as refused:
            if not is_missing(refused):
                raise
            if not self._may_install:
                lost = "Redis has lost the queue's functions, and this process may not load them"
                raise QueueUnavailable(lost) from refused
        async with self._installing:
            await install_library(self.connection, self._ready)
        return await call(*arguments)

    async def start(self) -> None:
        """Look whether the server can do what the settings ask for, and install the library where it is missing.

        Raises QueueUnavailable, RedisTooOld, SettingsError.
        """
        if self._may_install:
            await install_library(self.connection, self._ready)
        else:
            await loaded_version(self.connection, self._ready)
        await self._acknowledged.check(self.connection)

    @asynccontextmanager
    async def blocking(self) -> AsyncIterator[Connection]:
        """Lend a connection of its own for a call that blocks. Whoever breaks off must close it first."""
        if self._resting:
            connection, closing = self._resting.popitem()  # the last used: as many stay open as were needed lately
            closing.cancel()
        else:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._resting[connection] = asyncio.get_running_loop().call_later(IDLE_S, connection.close)

    def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self._connections):
            connection.close()
