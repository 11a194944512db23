"""Server-sent events, line by line (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import msgspec


class SseEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the stream gave it."""

    event: str
    data: str
    id: str


class SseLines:
    """Turns the lines of a stream into events. `last_id` is what a reconnect sends as `Last-Event-ID`."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_ms: int | None = None
        self._event = ""
        self._data: list[str] = []

    def feed(self, line: str) -> SseEvent | None:
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
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> SseEvent | None:
        event, data = self._event or "message", self._data
        self._event, self._data = "", []
        if not data:
            return None
        return SseEvent(event=event, data="\n".join(data), id=self.last_id)
