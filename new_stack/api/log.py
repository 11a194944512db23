"""Log lines: one JSON object each on stderr, an event with its fields. (A logging library would cost 5 MB resident.)"""

from __future__ import annotations

import sys
import time
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(enc_hook=str).encode


def log(event: str, **fields: Any) -> None:
    """Write one event."""
    line = {"at": round(time.time(), 3), "event": event} | fields
    sys.stderr.write(_encode(line).decode() + "\n")
    sys.stderr.flush()
