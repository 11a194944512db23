"""A WebSocket that reads in a greenlet of its own, with the library that Locust brings (websocket-client)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import msgspec
import websocket
from gevent.greenlet import Greenlet

CONNECT_S = 10.0


class ConnectionFailed(Exception):  # noqa: N818 - the failure is the name
    """The WebSocket could not be opened; the sentence says why."""


class JsonSocket:
    """One connection. `on_frame` gets each JSON object, `on_lost` a reason when the other side ends it."""

    def __init__(self, url: str, *, on_frame: Callable[[dict[str, Any]], None], on_lost: Callable[[str], None]) -> None:
        self._url = url
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._decoder = msgspec.json.Decoder(dict[str, Any])
        self._encoder = msgspec.json.Encoder()
        self._closing = False
        try:
            self._socket = websocket.create_connection(
                url, timeout=CONNECT_S, enable_multithread=True, skip_utf8_validation=True
            )
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionFailed(f"cannot connect: {error or type(error).__name__}") from error
        self._socket.settimeout(None)
        self._reader: Greenlet[[], None] = gevent.spawn(self._read)

    def send(self, message: dict[str, Any]) -> None:
        """Send one JSON object. Raises ConnectionFailed."""
        try:
            self._socket.send(self._encoder.encode(message).decode())
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionFailed(f"cannot send: {error or type(error).__name__}") from error

    def close(self) -> None:
        """Close in order; `on_lost` is not told."""
        self._closing = True
        with gevent.Timeout(1.0, exception=False):
            self._reader.kill()
            self._socket.close(timeout=0.5)
        self._socket.shutdown()  # type: ignore[no-untyped-call] # untyped in the library

    def _read(self) -> None:
        why = "the server closed the connection"
        try:
            while text := self._socket.recv():
                self._on_frame(self._decoder.decode(text))
        except (OSError, websocket.WebSocketException) as error:
            why = f"connection lost: {error or type(error).__name__}"
        except msgspec.DecodeError:
            why = "a frame that is no JSON object"
        if not self._closing:
            self._socket.shutdown()  # type: ignore[no-untyped-call] # untyped in the library
            self._on_lost(why)
