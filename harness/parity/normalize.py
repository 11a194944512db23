"""What two runs of the same thing may differ in: clocks, and the order of keys and of the lists that have none."""

from __future__ import annotations

import re
from typing import Any, Final

from harness.parity.times import Span, disordered, time_text

_TIME_FIELD: Final = re.compile(
    r"(^|_)(timestamp|at|time|heartbeat|since)$|_timestamp|^(started|estimated_start)$", re.IGNORECASE
)
_CLOCK_IN_ID: Final = re.compile(r"^(stats|ack|worker-status)-\d{9,11}$")
_CLOCK_IN_TEXT: Final = re.compile(r"\b1[0-9]{9}\.\d+\b")

USER_DATA: Final = frozenset({"payload", "job_request_payload", "params", "result", "connector_details", "details"})
"""Fields whose inside belongs to the users: an added field there is a change."""

BY_ID: Final = frozenset({"active_jobs", "active_workers"})
UNORDERED: Final = BY_ID | {"clients", "workers", "monitors", "stats", "job_notifications"}
"""Lists of a `stats_broadcast` whose order the hub does not define: they are compared as sets, some item by item."""


def normalized(value: Any, name: str = "", span: Span | None = None) -> Any:
    """The value with its times told by their kind only: seconds stay apart from ms, text and absence, and a time that
    cannot be is told: one outside the span, and one that lies before an earlier stage of its job.
    """
    if isinstance(value, dict):
        if value.keys() == {"$elided"}:
            return _elided(value["$elided"])
        late = disordered(value)
        return {
            key: f"<time before {late[key]}>"
            if key in late
            else normalized(part, key, None if key in USER_DATA else span)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [normalized(part, name, span) for part in value]
    if _TIME_FIELD.search(name):
        return time_text(value, span)
    if isinstance(value, str) and (found := _CLOCK_IN_ID.match(value)):
        return f"<{found[1]}-seconds>"
    return value


def normalized_frame(message: Any, span: Span | None = None) -> Any:
    """`normalized` for one frame. Pieces of a chunked message are cut at other places in every run: their text goes."""
    found = normalized(message, span=span)
    match found:
        case {"type": "chunked_message"}:
            found["content"] = "<piece>"
        case {"type": "stats_broadcast"}:
            return _ordered(found)
    return found


def _ordered(value: Any, name: str = "") -> Any:
    """The value with its lists without an order sorted; one whose items have ids becomes a table by id."""
    if isinstance(value, dict):
        return {key: _ordered(part, key) for key, part in value.items()}
    if isinstance(value, list) and name in BY_ID and all(isinstance(item, dict) and "id" in item for item in value):
        return {str(item["id"]): item for item in sorted(value, key=lambda item: str(item["id"]))}
    return sorted(value, key=str) if isinstance(value, list) and name in UNORDERED else value


def _elided(parts: dict[str, Any]) -> Any:
    starts = _CLOCK_IN_TEXT.sub("<time>", str(parts.get("starts", "")))
    return {"$elided": {**parts, "starts": starts}}
