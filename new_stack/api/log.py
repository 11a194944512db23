"""Log lines: one JSON object each on stderr, `{"at", "level", "event", …}`, as the worker writes them."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(enc_hook=str).encode


def log(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write one event; `level` is info, warning (look at it) or error (should not have happened)."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(_encode({"at": at, "level": level, "event": event} | fields).decode() + "\n")
    sys.stderr.flush()


class LogLines(logging.Handler):
    """Puts what libraries log into the same lines: a caller's bad request briefly, a fault of ours with its trace."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if getattr(error, "code", None) == 400 or type(error).__name__ == "RequestPayloadError":
            log("request_refused", error=" ".join(str(error).split()))
            return
        if error is not None:
            fields["trace"] = "".join(traceback.format_exception(error))
        log("library", level=record.levelname.lower(), **fields)
