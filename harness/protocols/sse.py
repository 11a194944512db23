"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), parsed by line or by bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

LARGEST_LINE: Final = 64_000_000
"""Bytes that are kept of a line without an end; what is longer is dropped."""
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class SseEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the stream gave it."""

    event: str
    data: str
    id: str

    def json(self) -> Any:
        """The data where it is JSON, else the text."""
        try:
            return msgspec.json.decode(self.data)
        except msgspec.DecodeError:
            return self.data


class SseParser:
    """Turns a stream into events. `last_id` is what a reconnect sends as `Last-Event-ID`; it survives `reconnected`."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_ms: int | None = None
        self._id = last_id
        """The cursor moves when the event is complete: a reader that is cut off before that gets it again."""
        self._event = ""
        self._data: list[str] = []
        self._rest = bytearray()

    def reconnected(self) -> None:
        """A new stream begins: what was incomplete in the old one is dropped."""
        self._id, self._event, self._data, self._rest = self.last_id, "", [], bytearray()

    @property
    def resume(self) -> dict[str, str]:
        """The headers with which a stream goes on behind the last event that came; none where there was none."""
        return {"Last-Event-ID": self.last_id} if self.last_id else {}

    def feed(self, data: bytes) -> Iterator[SseEvent]:
        """The events that are complete with these bytes."""
        began_within_line_end = self._rest.endswith(b"\r")
        self._rest += data
        if len(self._rest) > LARGEST_LINE:
            self._rest.clear()
        if not began_within_line_end and not _LINE_END.search(data):
            return
        # A carriage return at the end may be half of a line's end: it waits for what follows.
        held = b"\r" if self._rest.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(bytes(self._rest[: len(self._rest) - len(held)]))
        self._rest = bytearray(rest + held)
        for line in lines:
            if event := self.feed_line(line.decode("utf-8", "replace")):
                yield event

    def feed_line(self, line: str) -> SseEvent | None:
        """Take one line without its end; answers the event that an empty line completes."""
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> SseEvent | None:
        event, data = self._event or "message", self._data
        self.last_id, self._event, self._data = self._id, "", []
        if not data:
            return None  # only a `retry:` or an `id:`, which the standard does not count as an event
        return SseEvent(event=event, data="\n".join(data), id=self.last_id)
