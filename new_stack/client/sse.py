"""Reading server-sent events (HTML standard, section 9.2): bytes in, messages out; nothing here waits or connects."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from new_stack.client.errors import ClientError


class SseMessage(msgspec.Struct, frozen=True):
    """One dispatched message; `id` is the last id that the stream has set."""

    event: str
    data: str
    id: str


class SseReader:
    """Takes bytes as they come, cut anywhere, and gives the messages that they complete."""

    def __init__(self, *, limit: int = 64_000_000) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._skip_lf = False
        self._first = True
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self.last_id = ""
        self.retry_ms: int | None = None
        """How long to wait before reconnecting, where the server has said it."""

    def feed(self, chunk: bytes) -> Iterator[SseMessage]:
        """The messages completed by these bytes. Raises ClientError where one grows beyond the limit."""
        for line in self._lines(chunk):
            message = self._take(line)
            if message is not None:
                yield message
        if len(self._rest) + self._size > self._limit:
            raise ClientError(f"the server sent an event of more than {self._limit} bytes")

    def _lines(self, chunk: bytes) -> Iterator[str]:
        """Whole lines; a line ends with CR, LF or both, and both may come in two chunks."""
        if self._skip_lf and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._skip_lf = self._skip_lf and not chunk
        self._rest += chunk
        if b"\n" not in chunk and b"\r" not in chunk:
            return
        text = bytes(self._rest).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._skip_lf = self._rest[-1:] == b"\r"
        *lines, rest = text.split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            decoded = line.decode("utf-8", "replace")
            if self._first:
                decoded = decoded.removeprefix("\ufeff")
            self._first = False
            yield decoded

    def _take(self, line: str) -> SseMessage | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
                self._size += len(value)
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> SseMessage | None:
        event, data = self._event or "message", self._data
        self._event, self._data, self._size = "", [], 0
        return SseMessage(event, "\n".join(data), self.last_id) if data else None
