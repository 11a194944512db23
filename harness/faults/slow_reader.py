"""A client that subscribes and then hardly reads: what it costs the server, and whether the server lets go of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket

from harness.faults.nemesis import Nemesis
from harness.history import HistoryWriter
from harness.protocols import EventKind

SMALL_BUFFER = 4_096


class SlowReader(Nemesis):
    """Opens `path` on a server (SSE, or a WebSocket with `websocket`) and reads `bytes_per_s` of it.

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

    async def wreak(self) -> None:
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
