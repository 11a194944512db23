"""Reads server-sent events out of the bytes that pass by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

LARGEST_EVENT: Final = 16_000_000


class EventLines:
    """Takes bytes as they come and gives the events that are complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._id = ""
        self._kind = ""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The events that end in these bytes, each with `id`, `event` and `data` (JSON where it is JSON)."""
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        if len(self._rest) > LARGEST_EVENT:
            self._rest = b""
        for line in lines:
            if event := self._line(line.decode("utf-8", "replace")):
                yield event

    def _line(self, line: str) -> dict[str, Any] | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "id":
                self._id = value
            elif name == "event":
                self._kind = value
            return None
        text, kind = "\n".join(self._data), self._kind or "message"
        complete = bool(self._data)
        self._data, self._kind = [], ""
        if not complete:
            return None
        try:
            data = msgspec.json.decode(text)
        except msgspec.DecodeError:
            data = text
        return {"id": self._id, "event": kind, "data": data}
