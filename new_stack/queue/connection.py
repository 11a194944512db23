"""One connection to Redis. Commands sent in one turn of the event loop travel together; replies come back in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

import hiredis

from new_stack.queue.endpoint import UNREACHABLE, Endpoint, Opened
from new_stack.queue.errors import QueueError, QueueUnavailable
from new_stack.queue.failover.refusals import REOPEN, as_queue_error, first_word

Argument = str | bytes | int | float
Command = tuple[Argument, ...]
Reply = Any


class Connection(asyncio.Protocol):
    """A connection that opens itself when it is needed and after it broke. Used from one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.opened: Opened | None = None
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[float, asyncio.Future[Reply]]] = deque()
        self._unsent: list[bytes] = []
        self._opening: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def call(self, *arguments: Argument, patience: float = 0) -> Reply:
        """Send one command and wait for its reply. Raises QueueUnavailable, or QueueError for a refused command.

        `patience` is how long the command itself may block at the server, beyond the usual time-out.
        """
        [reply] = await self.call_together(arguments, patience=patience)
        return reply

    async def call_together(self, *commands: Command, patience: float = 0) -> list[Reply]:
        """Send commands in one go; the replies in their order. Raises the first error."""
        deadline = await self.ensure_open() + patience
        sent = [self.send(arguments, deadline) for arguments in commands]
        return [await sent[0]] if len(sent) == 1 else await asyncio.gather(*sent)

    def close(self) -> None:
        """Close the connection at once; calls in flight fail with QueueUnavailable."""
        if self._opening is not None:
            self._opening.cancel()
        if self.opened is not None:
            self.opened.stream.transport.abort()
            self._lose("the connection was closed")

    # opening
    async def ensure_open(self) -> float:
        """Open it where it is not open; the deadline of what is to be called now. Raises QueueUnavailable.

        Whoever needs it meanwhile shares the attempt, but has a deadline of its own.
        """
        deadline = self._loop.time() + self._endpoint.timeout
        while self.opened is None:
            if self._opening is None or self._opening.done():
                self._opening = self._loop.create_task(self._open())
                # Those who wait have its error; where nobody waits any more, nobody needs it.
                self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
            opening = self._opening
            await asyncio.wait((opening,), timeout=deadline - self._loop.time())
            if not opening.done():
                raise self._endpoint.unavailable(UNREACHABLE, "no answer")
            if opening.cancelled():
                raise QueueUnavailable("the connection to Redis was closed")
            opening.result()
        return deadline

    async def _open(self) -> None:
        self.opened, self._reader = await self._endpoint.open(), hiredis.Reader()
        transport = self.opened.stream.transport
        transport.set_protocol(self)
        if transport.is_closing():
            self._lose("Redis closed the connection")
            raise self._endpoint.unavailable(UNREACHABLE, "it closed the connection")

    # sending
    def send(self, arguments: Command, due: float) -> asyncio.Future[Reply]:
        """Send one command over the connection, which is open; its reply, or its error, is due then."""
        packed = _pack(arguments)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append((due, future))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        if self._watch is None:
            self._watch = self._loop.call_at(due, self._check_overdue)
        return future

    def _flush(self) -> None:
        if self.opened is not None and self._unsent:  # else it broke meanwhile
            self.opened.stream.transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def _check_overdue(self) -> None:
        self._watch = None
        if self._waiting and (due := self._waiting[0][0]) > self._loop.time():
            self._watch = self._loop.call_at(due, self._check_overdue)
        elif self._waiting:
            self.close()

    # receiving: asyncio.Protocol
    def data_received(self, data: bytes) -> None:
        """Bytes came: hand out the replies that they complete."""
        self._reader.feed(data)
        reopen = False
        try:
            while (reply := self._reader.gets()) is not False:
                _, future = self._waiting.popleft()
                if isinstance(reply, hiredis.ReplyError):
                    reopen = reopen or first_word(reply) in REOPEN
                    error = self._refusal(reply)
                    if not future.done():
                        future.set_exception(error)
                elif not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            reopen = True
        if reopen:
            self.close()

    def _refusal(self, reply: Exception) -> QueueError:
        return as_queue_error(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._lose(str(exc) if exc else "Redis closed the connection")

    def _lose(self, why: str) -> None:
        self.opened = None
        self._unsent.clear()
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(self._endpoint.unavailable("did not answer", why))


def _pack(arguments: Command) -> bytes:
    try:
        packed: bytes = hiredis.pack_command(cast("Any", arguments))  # its stub knows tuples of one only
    except UnicodeEncodeError:
        plain = (value.encode("utf-8", "replace") if isinstance(value, str) else value for value in arguments)
        packed = hiredis.pack_command(cast("Any", tuple(plain)))
    return packed
