"""What two runs of the same thing may differ in: clocks, and the order of keys and of the lists that have none."""

from __future__ import annotations

import re
from typing import Any, Final

_TIME_FIELD: Final = re.compile(
    r"(^|_)(timestamp|at|time|heartbeat|since)$|_timestamp|^(started|estimated_start)$", re.IGNORECASE
)
_ISO: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?$")
_NUMBER_TEXT: Final = re.compile(r"^\d{9,16}(\.\d+)?$")
_CLOCK_IN_ID: Final = re.compile(r"^(stats|ack|worker-status)-\d{9,11}$")
_CLOCK_IN_TEXT: Final = re.compile(r"\b1[0-9]{9}\.\d+\b")

USER_DATA: Final = frozenset({"payload", "job_request_payload", "params", "result", "connector_details", "details"})
"""Fields whose inside belongs to the users: an added field there is a change."""

UNORDERED: Final = frozenset(
    {"active_jobs", "active_workers", "clients", "workers", "monitors", "stats", "job_notifications"}
)
"""Lists of a `stats_broadcast` whose order the hub does not define: they are compared as sets."""


def normalized(value: Any, name: str = "") -> Any:
    """The value with its times told by their kind only: seconds stay apart from ms, text and absence."""
    if isinstance(value, dict):
        if value.keys() == {"$elided"}:
            return _elided(value["$elided"])
        return {key: normalized(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [normalized(part, name) for part in value]
    if _TIME_FIELD.search(name):
        return _time(value)
    if isinstance(value, str) and (found := _CLOCK_IN_ID.match(value)):
        return f"<{found[1]}-seconds>"
    return value


def normalized_frame(message: Any) -> Any:
    """`normalized` for one frame. Pieces of a chunked message are cut at other places in every run: their text goes."""
    found = normalized(message)
    match found:
        case {"type": "chunked_message"}:
            found["content"] = "<piece>"
        case {"type": "stats_broadcast"}:
            return _ordered(found)
    return found


def _ordered(value: Any, name: str = "") -> Any:
    """The value with its lists without an order sorted, by id where their items have one."""
    if isinstance(value, dict):
        return {key: _ordered(part, key) for key, part in value.items()}
    if isinstance(value, list) and name in UNORDERED:
        return sorted(value, key=lambda item: str(item["id"] if isinstance(item, dict) and "id" in item else item))
    return value


def _time(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    if isinstance(value, str):
        if _ISO.match(value):
            return "<time as ISO 8601 text>"
        return f"{_time(float(value))[:-1]} as text>" if _NUMBER_TEXT.match(value) else value
    if 1e9 <= value < 1e11:
        return "<time in seconds>"
    return "<time in ms>" if 1e12 <= value < 1e14 else value


def _elided(parts: dict[str, Any]) -> Any:
    starts = _CLOCK_IN_TEXT.sub("<time>", str(parts.get("starts", "")))
    return {"$elided": {**parts, "starts": starts}}
