"""Log lines: one JSON object each on stderr, `{"at", "level", "event", …}`, as the worker writes them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(enc_hook=str).encode


def log(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write one event; `level` is info, warning (look at it) or error (should not have happened)."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(_encode({"at": at, "level": level, "event": event} | fields).decode() + "\n")
    sys.stderr.flush()
