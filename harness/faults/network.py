"""Faults of the network: cuts, slowness and partitions, done to a `Proxy`, and a client that hardly reads."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket

from harness.faults.nemesis import Episodes, Nemesis, Plan
from harness.faults.proxy import BOTH, Direction, Proxy
from harness.history import HistoryWriter
from harness.protocols import EventKind

SMALL_BUFFER = 4_096


class Cuts(Nemesis):
    """Every connection through the proxy is reset, again and again."""

    def __init__(self, proxy: Proxy, writer: HistoryWriter, *, seed: int, times: int = 3, every_s: float = 2.0) -> None:
        super().__init__(writer, seed=seed)
        self._proxy = proxy
        self._times = times
        self._every_s = every_s
        self.connections = 0
        """How many connections were cut so far."""

    async def inject(self) -> None:
        """See `Nemesis`."""
        for _ in range(self._times):
            await asyncio.sleep(self._every_s * self.random.uniform(0.5, 1.0))
            cut = self._proxy.cut()
            self.connections += cut
            self.writer.note(EventKind.CUT, by=self.name, target=self._proxy.name, note=f"{cut} connections")

    async def heal(self) -> None:
        """See `Nemesis`."""
        self._proxy.heal()


class Disturbance(Episodes):
    """Something that is done to a proxy for a while."""

    def __init__(self, proxy: Proxy, writer: HistoryWriter, *, seed: int, plan: Plan | None = None) -> None:
        super().__init__(writer, seed=seed, target=proxy.name, plan=plan)
        self.proxy = proxy

    async def end(self) -> None:
        """See `Episodes`."""
        self.proxy.heal()


class Slowness(Disturbance):
    """Everything takes longer: `delay_s` per piece, `bytes_per_s` per direction (0: not limited)."""

    began = EventKind.SLOWED

    def __init__(
        self,
        proxy: Proxy,
        writer: HistoryWriter,
        *,
        seed: int,
        plan: Plan | None = None,
        delay_s: float = 0.2,
        bytes_per_s: float = 0.0,
    ) -> None:
        super().__init__(proxy, writer, seed=seed, plan=plan)
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s

    async def begin(self) -> str:
        """See `Episodes`."""
        self.proxy.slow(delay_s=self._delay_s, bytes_per_s=self._bytes_per_s)
        return f"{self._delay_s:g} s per piece, {self._bytes_per_s:g} bytes/s"


class Partition(Disturbance):
    """Nothing goes through; with `one_way` in one direction only, by the seed's choice."""

    began = EventKind.PARTITIONED

    def __init__(
        self, proxy: Proxy, writer: HistoryWriter, *, seed: int, plan: Plan | None = None, one_way: bool = False
    ) -> None:
        super().__init__(proxy, writer, seed=seed, plan=plan)
        self._one_way = one_way

    async def begin(self) -> str:
        """See `Episodes`."""
        directions: tuple[Direction, ...] = (self.random.choice(BOTH),) if self._one_way else BOTH
        self.proxy.partition(*directions)
        return " and ".join(directions)


class HalfOpen(Disturbance):
    """Every connection of the moment goes dead without a word to either end; who connects anew gets through."""

    began = EventKind.PARTITIONED

    async def begin(self) -> str:
        """See `Episodes`."""
        return f"{self.proxy.strand()} connections half open"


class SlowReader(Nemesis):
    """A client that subscribes and hardly reads: what it costs the server, and whether the server lets go of it.

    It opens `path` on a server (SSE, or a WebSocket with `websocket`) and reads `bytes_per_s` of it.

    The receive buffer is as small as the system allows, so that the server feels it soon. Heals by leaving.
    """

    def __init__(
        self,
        host: str,
        port: int,
        path: str,
        writer: HistoryWriter,
        *,
        seed: int = 0,
        websocket: bool = False,
        bytes_per_s: int = 64,
    ) -> None:
        super().__init__(writer, seed=seed)
        self._address = (host, port)
        self._path = path
        self._websocket = websocket
        self._bytes_per_s = bytes_per_s
        self._socket: socket.socket | None = None
        self.received = 0
        self.connected = asyncio.Event()
        self.let_go = asyncio.Event()
        """The server closed the connection."""

    async def inject(self) -> None:
        """See `Nemesis`."""
        loop = asyncio.get_running_loop()
        reader = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket = reader
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        reader.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        await loop.sock_connect(reader, self._address)
        await loop.sock_sendall(reader, self._request())
        self.writer.note(EventKind.SLOW_READER, by=self.name, target=self._path, note=f"{self._bytes_per_s} bytes/s")
        self.connected.set()
        with contextlib.suppress(ConnectionError):
            while piece := await loop.sock_recv(reader, self._bytes_per_s):
                self.received += len(piece)
                await asyncio.sleep(1)
        self.let_go.set()

    def _request(self) -> bytes:
        lines = [f"GET {self._path} HTTP/1.1", f"Host: {self._address[0]}:{self._address[1]}"]
        if self._websocket:
            key = base64.b64encode(self.random.randbytes(16)).decode()
            lines += ["Connection: Upgrade", "Upgrade: websocket"]
            lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        else:
            lines += ["Accept: text/event-stream"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def heal(self) -> None:
        """See `Nemesis`."""
        if self._socket:
            self._socket.close()
