"""GET /api/usage: who has used what in the last 90 days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from new_stack.api.http.http_io import answer
from new_stack.api.http.problems import invalid
from new_stack.api.modern.wording import whole_number
from new_stack.api.retirement.callers import LEGACY
from new_stack.api.retirement.features import INSTEAD, SUBMISSIONS
from new_stack.api.services import SERVICES
from new_stack.queue.usage import DAYS_KEPT, ClientUsage, Use, Way

PAGE: Final = 200
PAGE_LIMIT: Final = 1_000
CURSOR_DIGITS: Final = 15
FORGOTTEN: Final = "forgotten"
NOT_NEEDED: Final = ""


class UseView(msgspec.Struct, frozen=True):
    """How often something was used, and when first and last (ms since the epoch)."""

    count: int
    first_at: int
    last_at: int


class MessageView(UseView, frozen=True):
    """The same of a message; `instead` is what HTTP and SSE have in its place, null where they have nothing."""

    instead: str | None


class WayView(msgspec.Struct, frozen=True):
    """What a client used of one protocol and dialect; `days` has the days on which it did, each with how often."""

    protocol: str
    dialect: str
    legacy: bool
    days: dict[str, int]
    messages: dict[str, MessageView]
    agents: dict[str, UseView]


class BrownOutView(msgspec.Struct, frozen=True):
    """What a brown-out did to a client; `came_back` is the way by which it came first afterwards, null before that."""

    began_at: int
    refused: int
    jobs_in_flight: int
    came_back: str | None
    after_s: float | None


class ClientView(msgspec.Struct, frozen=True):
    """One client; `connected` is how many WebSockets it holds open in the process that answers."""

    client: str
    last_at: int
    connected: int
    ways: list[WayView]
    brown_outs: list[BrownOutView]


class DayView(msgspec.Struct, frozen=True):
    """What all clients used together on a day: submissions by either side, and everything by way and message."""

    day: str
    submissions: dict[str, int]
    used: dict[str, int]


class UsageView(msgspec.Struct, frozen=True):
    """A page of clients, those first that used the hub's protocols last; the days are on the first page."""

    at: int
    today: str
    days_kept: int
    counted_since: str | None
    forgotten: int
    """Clients of these days that others had to make room for."""
    clients: list[ClientView]
    days: list[DayView]
    cursor: str | None
    state: dict[str, Any]
    """What is set: the notices, the brown-out that is on and the next one, and whether legacy is served at all."""


async def usage(request: web.Request) -> web.Response:
    """GET /api/usage."""
    services = request.app[SERVICES]
    cursor = request.query.get("cursor", "0")
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > CURSOR_DIGITS:
        raise invalid("cursor", "is not one that this listing gave out")
    await services.usage.flush()
    limit = whole_number(request, "limit", PAGE, 1, PAGE_LIMIT)
    page = await services.queue.usage.page(cursor, count=limit, client=request.query.get("client", ""))
    today = int(services.clock() // 86_400)
    oldest = today - DAYS_KEPT + 1
    open_sockets = Counter(session.caller.client for session in services.retirement.sessions)
    clients = [_client(name, found, oldest, open_sockets[name]) for name, found in page.clients.items()]
    clients.sort(key=lambda client: (-client.last_at, client.client))
    clients.sort(key=_last_legacy, reverse=True)
    days = {day: counts for day, counts in sorted(page.days.items()) if day >= oldest}
    return answer(
        UsageView(
            at=int(services.clock() * 1000),
            today=_date(today),
            days_kept=DAYS_KEPT,
            counted_since=_date(min(days)) if days else None,
            forgotten=sum(counts.get(FORGOTTEN, 0) for counts in days.values()),
            clients=[client for client in clients if client.ways],
            days=[_day(day, counts) for day, counts in days.items()],
            cursor=page.cursor,
            state=services.retirement.state(),
        )
    )


def _last_legacy(client: ClientView) -> str:
    return max((max(way.days) for way in client.ways if way.legacy), default="")


def _day(day: int, counts: dict[str, int]) -> DayView:
    used = {name: count for name, count in sorted(counts.items()) if name != FORGOTTEN}
    submissions = {"legacy": 0, "modern": 0}
    for name, count in used.items():
        protocol, _, message = name.split(" ", 2)
        if message in SUBMISSIONS:
            submissions["legacy" if protocol in LEGACY else "modern"] += count
    return DayView(_date(day), submissions, used)


def _client(name: str, found: ClientUsage, oldest: int, connected: int) -> ClientView:
    ways = [_way(way, used, oldest) for way, used in sorted(found.ways.items())]
    brown_outs = [
        BrownOutView(
            began_at=record.began_at,
            refused=record.refused,
            jobs_in_flight=record.in_flight,
            came_back=record.way or None,
            after_s=(record.back_at - record.refused_at) / 1000 if record.way else None,
        )
        for record in found.brown_outs
    ]
    return ClientView(
        client=name,
        last_at=found.last * 1000,
        connected=connected,
        ways=[way for way in ways if way.days],
        brown_outs=brown_outs,
    )


def _way(name: str, used: Way, oldest: int) -> WayView:
    protocol, _, dialect = name.partition(" ")
    by_day = {used.first_day + index: count for index, count in enumerate(used.by_day) if count}
    return WayView(
        protocol=protocol,
        dialect=dialect,
        legacy=protocol in LEGACY,
        days={_date(day): count for day, count in by_day.items() if day >= oldest},
        messages={
            key: MessageView(*_told(use), INSTEAD.get(key, NOT_NEEDED)) for key, use in sorted(used.messages.items())
        },
        agents={key: UseView(*_told(use)) for key, use in sorted(used.agents.items())},
    )


def _told(use: Use) -> tuple[int, int, int]:
    return use.count, use.first * 1000, use.last * 1000


def _date(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()


ROUTES: Final = (("GET", "/api/usage", usage),)
