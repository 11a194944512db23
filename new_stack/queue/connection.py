"""One connection to Redis. Commands sent in one turn of the event loop travel together; replies come back in order.

hiredis parses and packs; this module only moves the bytes, because a worker that imports the whole of redis-py is
10 MB larger than one that does not, and waits longer for each reply.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis
import msgspec

from new_stack.queue.errors import QueueError, QueueUnavailable
from new_stack.settings import SettingsError

Argument = str | bytes | int | float
Reply = Any

TRANSIENT: Final = (
    "OOM",
    "LOADING",
    "BUSY",
    "READONLY",
    "MASTERDOWN",
    "MISCONF",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "NOREPLICAS",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
)
"""First words of errors that say: not now, or not as you stand."""


class Address(msgspec.Struct, frozen=True):
    """Where Redis is, out of redis://, rediss:// or unix:// URLs."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    tls: bool = False
    username: str = ""
    password: str = ""
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises SettingsError with one sentence."""
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise SettingsError("the Redis URL must start with redis://, rediss:// or unix://")
        unix = parts.scheme == "unix"
        query = parse_qs(parts.query)
        database = query.get("db", ["" if unix else parts.path.strip("/")])[0] or "0"
        try:
            port = parts.port or 6379
            number = int(database)
        except ValueError:
            raise SettingsError("the Redis URL's port and database must be whole numbers") from None
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=port,
            path=unquote(parts.path) if unix else "",
            tls=parts.scheme == "rediss",
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=number,
        )

    def __str__(self) -> str:
        """Without the password: fit for messages and logs."""
        return self.path or f"{self.host}:{self.port}"


class Connection(asyncio.Protocol):
    """A connection that opens itself when it is needed and after it broke. Used from one event loop."""

    def __init__(self, address: Address, *, timeout: float, blocking: bool = False) -> None:
        self._home = address
        self._address = address
        """Where it connects to: home, or the node of a cluster to which home sent it on."""
        self._timeout = timeout
        self._blocking = blocking
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[float, asyncio.Future[Reply]]] = deque()
        self._unsent: list[bytes] = []
        self._opening: asyncio.Lock = asyncio.Lock()
        self._watch: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.client_id: int = 0

    async def call(self, *arguments: Argument, patience: float = 0) -> Reply:
        """Send one command and wait for its reply. Raises QueueUnavailable, or QueueError for a refused command."""
        [reply] = await self.call_together(arguments, patience=patience)
        return reply

    async def call_together(self, *commands: tuple[Argument, ...], patience: float = 0) -> list[Reply]:
        """Send commands in one go; the replies in their order, errors raised only after the last one came."""
        try:
            return await self._call(commands, patience)
        except RedisMoved as moved:
            there = msgspec.structs.replace(self._home, host=moved.host, port=moved.port)
            if self._address != there:  # else another call has followed already
                self.close()
                self._address = there
            return await self._call(commands, patience)

    async def _call(self, commands: tuple[tuple[Argument, ...], ...], patience: float) -> list[Reply]:
        if self._transport is None:
            await self._open()
        if len(commands) == 1:
            return [await self._send(commands[0], patience)]
        return await asyncio.gather(*(self._send(arguments, patience) for arguments in commands))

    def close(self) -> None:
        """Close the connection at once; calls in flight fail with QueueUnavailable."""
        if self._transport is not None:
            self._transport.abort()
            self._lose("the connection was closed")

    # sending
    def _send(self, arguments: tuple[Argument, ...], patience: float) -> asyncio.Future[Reply]:
        packed = _pack(arguments)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append((self._loop.time() + self._timeout + patience, future))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout + patience, self._check_overdue)
        return future

    def _flush(self) -> None:
        if self._transport is None:
            self._lose("the connection broke")
        elif self._unsent:
            self._transport.write(b"".join(self._unsent) if len(self._unsent) > 1 else self._unsent[0])
            self._unsent.clear()

    def _check_overdue(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        due = self._waiting[0][0]
        now = self._loop.time()
        if due > now:
            self._watch = self._loop.call_later(due - now, self._check_overdue)
        else:
            self.close()

    # receiving: asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came: hand out the replies that they complete."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                _, future = self._waiting.popleft()
                if future.done():
                    continue
                if isinstance(reply, hiredis.ReplyError):
                    future.set_exception(as_queue_error(reply))
                else:
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._lose(str(exc) if exc else "Redis closed the connection")

    def _lose(self, why: str) -> None:
        self._transport = None
        self._reader = hiredis.Reader()
        self._unsent.clear()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(QueueUnavailable(f"Redis at {self._address} did not answer: {why}"))

    # opening
    async def _open(self) -> None:
        async with self._opening:
            if self._transport is not None:
                return
            try:
                async with asyncio.timeout(self._timeout):
                    await self._connect()
                    await self._greet()
            except (OSError, TimeoutError) as error:
                self.close()
                address, self._address = self._address, self._home
                raise QueueUnavailable(f"Redis at {address} cannot be reached: {error or 'no answer'}") from error
            except BaseException:
                self.close()
                raise

    async def _connect(self) -> None:
        address = self._address
        if address.path:
            await self._loop.create_unix_connection(lambda: self, address.path)
        else:
            context = ssl.create_default_context() if address.tls else None
            await self._loop.create_connection(lambda: self, address.host, address.port, ssl=context)

    async def _greet(self) -> None:
        address = self._address
        if address.password:
            credentials = (address.username, address.password) if address.username else (address.password,)
            await self._send(("AUTH", *credentials), 0)
        if address.database:
            await self._send(("SELECT", address.database), 0)
        if self._blocking:
            self.client_id = await self._send(("CLIENT", "ID"), 0)


def _pack(arguments: tuple[Argument, ...]) -> bytes:
    try:
        packed: bytes = hiredis.pack_command(cast("Any", arguments))  # its stub knows tuples of one only
    except UnicodeEncodeError:
        plain = (value.encode("utf-8", "replace") if isinstance(value, str) else value for value in arguments)
        packed = hiredis.pack_command(cast("Any", tuple(plain)))
    return packed


def as_queue_error(reply: Exception) -> QueueError:
    """The error that a refusal of Redis means to us."""
    text = str(reply)
    if text.startswith("MOVED "):
        host, _, port = text.split(" ")[2].rpartition(":")
        return RedisMoved(text, host, int(port))
    if text.split(" ", 1)[0] in TRANSIENT:
        return QueueUnavailable(f"Redis refused for now: {text}")
    return RedisRefused(text)


class RedisRefused(QueueError):  # noqa: N818
    """Redis answered with an error that trying again will not cure."""


class RedisMoved(RedisRefused):
    """The keys are on another node of the cluster."""

    def __init__(self, text: str, host: str, port: int) -> None:
        super().__init__(text)
        self.host = host
        self.port = port
