"""What a caller of the hub's protocols is told, and whether it is served now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from email.utils import format_datetime
from enum import Enum, auto
from hashlib import blake2b
from typing import Any, Final

import msgspec

from new_stack.api.retirement.callers import Caller
from new_stack.api.retirement.deprecation import BrownOut, Deprecation, Notice, schedule_of

GONE_CODE: Final = 4410
"""Closes a WebSocket that is refused: HTTP's 410 among the codes that applications may choose."""

JOBS_GO_ON: Final = "Jobs go on: GET /api/jobs/{id}."
SWITCHED_OFF: Final = f"The hub's protocols are switched off here: use HTTP and SSE. {JOBS_GO_ON}"
"""At most 120 bytes, as the other one: a WebSocket's close frame has no room for more."""


class Standing(Enum):
    """How a caller is served."""

    SERVED = auto()
    DRAINING = auto()
    """Its jobs are told to their end, and it may submit no others."""
    REFUSED = auto()


class Decision(msgspec.Struct, frozen=True):
    """How a caller is served; where it is not as usual, why, and since when the brown-out has been on (s)."""

    standing: Standing = Standing.SERVED
    sentence: str = ""
    began_at: float | None = None


class Running(msgspec.Struct, frozen=True):
    """A brown-out that is on, with its beginning and end in s since the epoch."""

    rule: BrownOut
    began_at: float
    ends_at: float

    @property
    def sentence(self) -> str:
        """Why a caller is refused."""
        until = datetime.fromtimestamp(self.ends_at, UTC)
        return f"Brown-out of the hub's protocols until {until:%H:%M} UTC: use HTTP and SSE. {JOBS_GO_ON}"


def running(config: Deprecation, now: float, before: Iterable[Running] = ()) -> list[Running]:
    """The brown-outs that are on; `before` are those that were: where one follows another at once, they are one."""
    began = {one.rule: one.began_at for one in before}
    found = []
    for rule in config.brown_out:
        at = schedule_of(rule.schedule).next_after(now - rule.minutes * 60)
        if at is not None and at <= now:
            found.append(Running(rule, began.get(rule, at), at + rule.minutes * 60))
    return found


def next_brown_out(config: Deprecation, now: float) -> float | None:
    """When the next one begins (s)."""
    times = (schedule_of(rule.schedule).next_after(now) for rule in config.brown_out)
    return min((at for at in times if at is not None), default=None)


def decide(
    config: Deprecation, brown_outs: Iterable[Running], caller: Caller, *, in_flight: bool, connected: bool
) -> Decision:
    """How a caller is served; `connected` where it holds a connection already, `in_flight` where it has jobs."""
    if not config.legacy:
        standing = Standing.DRAINING if connected and in_flight else Standing.REFUSED
        return Decision(standing, SWITCHED_OFF)
    for one in brown_outs:
        if one.rule.covers(caller) and is_drawn(one.rule, caller.client) and (one.rule.interrupt or not in_flight):
            return Decision(Standing.REFUSED, one.sentence, one.began_at)
    return Decision()


def is_drawn(rule: BrownOut, client: str) -> bool:
    """Whether a client is in the share that a brown-out means."""
    digest = blake2b(f"{rule.seed}\n{client}".encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) < rule.share * 2**64


def notice_for(config: Deprecation, caller: Caller) -> Notice | None:
    """The first notice that means this caller."""
    return next((notice for notice in config.notice if notice.covers(caller)), None)


def headers(notice: Notice) -> dict[str, str]:
    """The notice as headers: RFC 9745 and RFC 8594, with their links."""
    found = {"Deprecation": f"@{int(_midnight(notice.deprecated).timestamp())}"}
    if notice.sunset is not None:
        found["Sunset"] = format_datetime(_midnight(notice.sunset), usegmt=True)
    if notice.link:
        relations = ["deprecation"] + (["sunset"] if notice.sunset is not None else [])
        found["Link"] = ", ".join(f'<{notice.link}>; rel="{relation}"; type="text/html"' for relation in relations)
    return found


def told(notice: Notice) -> dict[str, Any]:
    """The notice as a field of a message."""
    return {
        "deprecated": notice.deprecated.isoformat(),
        "sunset": None if notice.sunset is None else notice.sunset.isoformat(),
        "link": notice.link or None,
        "message": notice.message or "The hub's protocols are deprecated: use HTTP and server-sent events.",
    }


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
