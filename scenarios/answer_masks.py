"""What of an answer stands in a book: all but what nobody can know beforehand, which is masked by what it is."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any, Final

HOUR_MS: Final = 3_600_000
CLOCKS_APART_MS: Final = 10_000
"""How long an answer may have taken to be read on a machine that is busy."""
COOKIE_S: Final = 12 * 3600
LONG_AGO_MS: Final = 100 * 24 * HOUR_MS
VARIES: Final = (
    *(
        "redis_ms",
        "used_bytes",
        "peak_bytes",
        "retry_after_s",
        "uptime",
        "uptime_seconds",
        "cpu_cores",
        "ram_gb",
        "pid",
    ),
    *("jobs_processed", "p50", "p95", "p99", "after_s", "at"),
)
BY_THE_CLOCK: Final = frozenset({"unserved", "unserved_since", "unserved_since_ms", "unworkable_since", "points"})
"""Fields that say when somebody last looked; where they matter, the book waits for them."""
_VARIES: Final = re.compile(rf'"({"|".join(VARIES)})": ?-?[\d.e]+')
BY_CLAIM: Final = frozenset({"worker_id", "assigned_at", "claimed_at"})
"""In a frame that tells of a submission, where a worker has been as quick as the server that tells it."""
_UNSERVED: Final = re.compile(r"(?<=Unworkable) since <past>|, \"waiting_reason\": \"no worker [^\"]*\"")
_UNTIL: Final = re.compile(r"until (\d\d):(\d\d) UTC")
_OURS: Final = re.compile(r'"(host|version)": "[^"]*"')
_HERE: Final = re.compile(r"(?:127\.0\.0\.1|localhost):\d+")
_UUID: Final = re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b")
_EVENT: Final = re.compile(r"\b\d{13}-\d+\b")
_NUMBER: Final = re.compile(r"(?<![\d.\w])\d{10}(?:\d{3})?(?:\.\d+)?(?![\d\w])")
_ISO: Final = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")
_COOKIE: Final = re.compile(r"(?<==)(\d{10})\.[0-9a-f]{64}")
_PROCESS: Final = re.compile(r"(?<= on )\S+ \(process \d+\)")
_ORDER: Final = ("created_at_ms", "claimed_at_ms", "ended_at_ms")


def masked(text: str) -> str:
    """An answer without what nobody can know beforehand."""
    now_ms = time.time() * 1000

    def where(ms: float, found: str) -> str:
        if not now_ms - LONG_AGO_MS < ms < now_ms + HOUR_MS:
            return found
        return "<past>" if ms <= now_ms + 1 else "<future>"

    def number(match: re.Match[str]) -> str:
        digits = match[0].partition(".")[0]
        return where(float(match[0]) * (1 if len(digits) > 10 else 1000), match[0])

    def iso(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(match[0])
        return where((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000, match[0])

    text = _EVENT.sub("<event>", _HERE.sub("<here>", _UUID.sub("<uuid>", _PROCESS.sub("<host and process>", text))))
    text = _NUMBER.sub(number, _ISO.sub(iso, text)).replace(datetime.now(UTC).date().isoformat(), "<today>")
    text = _UNTIL.sub(lambda found: f"until {_soon(int(found[1]), int(found[2]))}", _UNSERVED.sub("", text))
    return _VARIES.sub(r'"\1": <number>', _OURS.sub(r'"\1": "<text>"', text))


def _soon(hour: int, minute: int) -> str:
    """A time of the day, in words where it comes within two minutes, as that does to which a brown-out of each minute
    lasts; one of each day lasts to midnight, and is not told anew in the middle of a book.
    """
    now = datetime.now(UTC)
    ahead = (hour * 60 + minute - now.hour * 60 - now.minute) % (24 * 60)
    if 0 <= ahead <= 2:
        return "<the next minute>"
    return f"<{ahead} minutes away>" if hour or minute else "<midnight>"


def shown(value: Any) -> str:
    """An answer as it stands in the book."""
    return masked(json.dumps(_settled(value), ensure_ascii=False))


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        moments = [value[name] for name in _ORDER if isinstance(value.get(name), int)]
        assert moments == sorted(moments), f"a job was created, claimed and ended at {moments}"
        left_out = BY_THE_CLOCK | ({"waiting"} if "wait_ms" in value else set())
        if value.get("type") == "job_submitted" and isinstance(value.get("job_data"), dict):
            value = value | {"job_data": {name: one for name, one in value["job_data"].items() if name not in BY_CLAIM}}
        if "traceback" in value:
            value = value | {"traceback": value["traceback"] and "<text>"}
        return {name: _settled(one) for name, one in value.items() if one is not None and name not in left_out}
    return [_settled(one) for one in value] if isinstance(value, list) else value


def header(value: str) -> str:
    """A header's value without what nobody can know beforehand; a cookie's lasts for twelve hours."""
    for cookie in _COOKIE.finditer(value):
        assert abs(int(cookie[1]) - time.time() - COOKIE_S) < CLOCKS_APART_MS / 1000, "until when a cookie holds"
    return masked(_COOKIE.sub("<until>.<signature>", value))
