"""The log of every process of the stack: one JSON object a line, `{"at", "level", "event", …}`."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec


def to_stderr(line: str) -> None:
    """Write one line to standard error, whole."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class EventLog:
    """Writes events with fields; `context` is part of every line. Small, because a worker's memory budget is."""

    def __init__(self, write: Callable[[str], None] = to_stderr, **context: Any) -> None:
        self._write = write
        self._context = context

    def info(self, event: str, **fields: Any) -> None:
        """Write something that happened as it should."""
        self.line("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write something that an operator may want to look at."""
        self.line("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write something that should not have happened."""
        self.line("error", event, fields)

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Write one line of any level."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": level, "event": event, **self._context, **fields}
        self._write(msgspec.json.encode(line, enc_hook=str).decode())


log = EventLog()
"""The log of a process that has nothing to add to every line."""


class LastingFailure:
    """Tells of work that is done again and again and fails: when that begins, is another failure, and is over."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._error = ""

    def note(self, error: str) -> None:
        """How a turn went: empty where nothing failed."""
        if error and error != self._error:
            log.error(f"{self._work}_failed", error=error)
        elif self._error and not error:
            log.info(f"{self._work}_works_again")
        self._error = error


class LibraryLogs(logging.Handler):
    """Puts what libraries log into the same lines: a caller's bad request briefly, a fault of ours with its trace."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        error = record.exc_info[1] if record.exc_info else None
        if getattr(error, "code", None) == 400 or type(error).__name__ == "RequestPayloadError":
            log.info("request_refused", error=_without_query(" ".join(str(error).split())))
            return
        fields: dict[str, Any] = {"logger": record.name, "message": _without_query(record.getMessage())}
        if error is not None:
            fields["trace"] = _without_query("".join(traceback.format_exception(error)))
        log.line(record.levelname.lower(), "library", fields)


def _without_query(text: str) -> str:
    """A text without what stands behind a question mark: queries carry tokens."""
    return re.sub(r"\?[^\s'\"]+", "?…", text)
