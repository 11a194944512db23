"""One JSON line per event, on a stream: `{"at", "level", "event", …}`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec


def to_stderr(line: str) -> None:
    """Write one line to standard error, whole."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class EventLog:
    """Writes events with fields. Small on purpose: a worker's memory budget has no room for a logging library."""

    def __init__(self, write: Callable[[str], None] = to_stderr, **context: Any) -> None:
        self._write = write
        self._context = context

    def info(self, event: str, **fields: Any) -> None:
        """Write something that happened as it should."""
        self._line("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write something that an operator may want to look at."""
        self._line("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write something that should not have happened."""
        self._line("error", event, fields)

    def _line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": level, "event": event, **self._context, **fields}
        self._write(msgspec.json.encode(line, enc_hook=str).decode())
