"""The record of a job as the stack keeps it in Redis (`new_stack/queue/functions/shared/layout.lua`).

For those who look at one by hand or damage it: the functions tell one by names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

PLACES: Final = (
    *("state", "service_required", "priority", "sequence", "max_retries", "attempt", "failures", "deliveries"),
    *("created_at", "digest", "submitted_id", "payload", "worker_id", "claimed_at", "claimed_id", "ended_at"),
    *("ended_id", "result", "streamed"),
)
"""What has a place of its own, in order; a map of all else follows."""

ARRAY_16: Final = b"\xdc"
"""How a MessagePack array of up to 65,535 values begins: the values of a record stand there without."""


def read_record(packed: bytes) -> dict[str, Any]:
    """What is in a record, by name."""
    values = msgspec.msgpack.decode(ARRAY_16 + (len(PLACES) + 1).to_bytes(2, "big") + packed, type=list[Any])
    others = values.pop() or {}
    return {name: value for name, value in zip(PLACES, values, strict=True) if value is not None} | others


def write_record(fields: Mapping[str, Any]) -> bytes:
    """A record with these fields, of whatever types."""
    others = {name: value for name, value in fields.items() if name not in PLACES}
    values = (*(fields.get(name) for name in PLACES), others or None)
    return b"".join(map(msgspec.msgpack.encode, values))
