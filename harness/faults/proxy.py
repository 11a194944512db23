"""A TCP proxy that can cut, slow and partition what passes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from harness.tasks import called_off

CHUNK: Final = 16_384
CONNECTIONS: Final = 4_096
BUFFER: Final = 65_536
"""Bytes that the proxy holds per direction at most; then the sender feels it."""
CONNECT_S: Final = 5.0


class Direction(StrEnum):
    """The way that bytes go."""

    UP = "up"
    """From who connects to the upstream server."""
    DOWN = "down"


BOTH: Final = (Direction.UP, Direction.DOWN)


class Proxy:
    """Listens on a port of its own and passes every connection on to one upstream server. An async context manager.

    Partitioned bytes are held back, not thrown away: to the two ends that is what a network that drops packets looks
    like, and after the healing TCP delivers them.
    """

    def __init__(self, host: str, port: int, *, name: str) -> None:
        self.name = name
        """What link this is: `redis…` for the workers' and servers' way to Redis; else the name of the server."""
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._writers: dict[asyncio.StreamWriter, int] = {}
        """Both ends of every connection, with its number."""
        self._passing = {direction: asyncio.Event() for direction in BOTH}
        self._refusing = False
        self._closing = False
        self._stranded = 0
        """The connections up to this number are half open."""
        self.delay_s = 0.0
        self.bytes_per_s = 0.0
        """0: not limited."""
        self.accepted = 0
        self.heal()

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the proxy is not open")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def open_connections(self) -> int:
        """How many connections pass through it now."""
        return len(self._links)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=BUFFER, backlog=512)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._closing = True
        if self._server:
            self._server.close()
        await called_off(*self._links)

    # faults
    def cut(self) -> int:
        """Reset every connection now, as a router does that forgot them; answers how many."""
        cut = len(self._writers) // 2
        for writer in list(self._writers):
            _reset(writer)
        return cut

    def refuse(self) -> None:
        """Let nobody in until healed (connections are reset as they come); those open stay."""
        self._refusing = True

    def slow(self, *, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> None:
        """Hold every piece back for a while, and let only so many bytes through per second and direction."""
        self.delay_s = delay_s
        self.bytes_per_s = bytes_per_s

    def partition(self, *directions: Direction) -> None:
        """Let nothing through, in the directions given (none given: both)."""
        for direction in directions or BOTH:
            self._passing[direction].clear()

    def strand(self) -> int:
        """Leave every connection half open: each end believes in it and hears nothing more, not even of its end. New
        connections are whole. Answers how many.
        """
        self._stranded = self.accepted
        return len(self._links)

    def heal(self) -> None:
        """Let everything through again at full speed; what is half open still is reset."""
        for writer, number in list(self._writers.items()):
            if number <= self._stranded:
                _reset(writer)
        self.delay_s = self.bytes_per_s = 0.0
        self._refusing = False
        for passing in self._passing.values():
            passing.set()

    # passing on
    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing or len(self._links) >= CONNECTIONS:
            _reset(writer)
            return
        link = asyncio.current_task()
        if link is None:  # pragma: no cover - asyncio runs this in a task
            return
        self._links.add(link)
        try:
            await self._pass_on(reader, writer, self.accepted)
        except (OSError, TimeoutError):
            _reset(writer)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            # asyncio's own callback on this task takes a cancelled one for a failure and prints it
            _reset(writer)
        finally:
            self._links.discard(link)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        async with asyncio.timeout(CONNECT_S):
            up_reader, up_writer = await asyncio.open_connection(*self._upstream, limit=BUFFER)
        ends = (writer, up_writer)
        self._writers.update(dict.fromkeys(ends, number))
        for end in ends:
            end.transport.set_write_buffer_limits(high=BUFFER)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, up_writer, Direction.UP, number))
                both.create_task(self._pump(up_reader, writer, Direction.DOWN, number))
        except* OSError:  # one end is gone: so is the other
            for end in ends:
                _reset(end)
        finally:
            for end in ends:
                self._writers.pop(end, None)
                end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction, number: int
    ) -> None:
        while True:
            piece = await reader.read(CHUNK)
            if number <= self._stranded:
                if piece:
                    continue
                return
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.bytes_per_s:
                await asyncio.sleep(len(piece) / self.bytes_per_s)
            await self._passing[direction].wait()
            if not piece:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, not FIN: the other end gets an error, not an end."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
