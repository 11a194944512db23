"""Writes cassettes, whole or line by line as things happen."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from harness.cassettes.events import Cassette, Closed, Event, Header, Request, Response, kind_of
from harness.cassettes.strings import contracted


class CassetteWriter:
    """An open cassette: every event is on disk when `write` returns, so a recorder that is killed loses nothing."""

    def __init__(self, path: Path, header: Header) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb", buffering=0)
        self._size = 0
        self._put(msgspec.to_builtins(header))

    def write(self, event: Event) -> None:
        """Add one event; its long strings are contracted. Raises OSError, and then keeps no part of its line."""
        self._put(event_as_line(event))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _put(self, line: dict[str, Any]) -> None:
        data = f"{json.dumps(line, ensure_ascii=False)}\n".encode(errors="replace")
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def event_as_line(event: Event) -> dict[str, Any]:
    """The event as the object that its line holds, keys in the format's order."""
    fields = contracted(msgspec.to_builtins(event))
    leading = {"at": fields.pop("at"), "actor": fields.pop("actor"), "event": kind_of(event)}
    fields.pop("event", None)
    if isinstance(event, Closed):
        fields.setdefault("reason", "")
    elif isinstance(event, Request | Response):
        fields.setdefault("body", None)
    return {**leading, **fields}


def save(cassette: Cassette, path: Path) -> None:
    """Write a whole cassette."""
    with CassetteWriter(path, cassette.header) as writer:
        for event in cassette.events:
            writer.write(event)
