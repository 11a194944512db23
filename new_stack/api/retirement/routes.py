"""GET /api/usage: who has used what in the last 90 days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from new_stack.api.http.http_io import answer, whole_number
from new_stack.api.http.problems import invalid
from new_stack.api.retirement.features import INSTEAD
from new_stack.api.services import SERVICES
from new_stack.queue.usage import DAYS_KEPT, ClientUsage, Use, Way

PAGE: Final = 200
PAGE_LIMIT: Final = 1_000
CURSOR_DIGITS: Final = 15
FORGOTTEN: Final = "forgotten"
NOT_NEEDED: Final = ""


class UseView(msgspec.Struct, frozen=True):
    """How often something was used, and when first and last."""

    count: int
    first: str
    last: str


class MessageView(UseView, frozen=True):
    """The same of a message; `instead` is what HTTP and SSE have in its place, null where they have nothing."""

    instead: str | None


class WayView(msgspec.Struct, frozen=True):
    """What a client used of one protocol and dialect; `days` has the days on which it did, each with how often."""

    protocol: str
    dialect: str
    days: dict[str, int]
    messages: dict[str, MessageView]
    agents: dict[str, UseView]


class BrownOutView(msgspec.Struct, frozen=True):
    """What a brown-out did to a client; `came_back` is the way by which it came first afterwards, null before that."""

    began: str
    refused: int
    jobs_in_flight: int
    came_back: str | None
    after_s: float | None


class ClientView(msgspec.Struct, frozen=True):
    """One client."""

    client: str
    ways: list[WayView]
    brown_outs: list[BrownOutView]


class UsageView(msgspec.Struct, frozen=True):
    """A page of clients. `days` (on the first page) has what all clients used together, by way and message."""

    today: str
    days_kept: int
    counted_since: str | None
    forgotten: int
    """Clients of these days that others had to make room for."""
    clients: list[ClientView]
    days: dict[str, dict[str, int]]
    cursor: str | None


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
    clients = [_client(name, found, oldest) for name, found in sorted(page.clients.items())]
    days = {day: counts for day, counts in sorted(page.days.items()) if day >= oldest}
    return answer(
        UsageView(
            today=_date(today),
            days_kept=DAYS_KEPT,
            counted_since=_date(min(days)) if days else None,
            forgotten=sum(counts.get(FORGOTTEN, 0) for counts in days.values()),
            clients=[client for client in clients if client.ways],
            days={_date(day): _without_forgotten(counts) for day, counts in days.items()},
            cursor=page.cursor,
        )
    )


def _without_forgotten(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if name != FORGOTTEN}


def _client(name: str, found: ClientUsage, oldest: int) -> ClientView:
    ways = [_way(way, used, oldest) for way, used in sorted(found.ways.items())]
    brown_outs = [
        BrownOutView(
            began=_time(record.began_at / 1000),
            refused=record.refused,
            jobs_in_flight=record.in_flight,
            came_back=record.way or None,
            after_s=(record.back_at - record.refused_at) / 1000 if record.way else None,
        )
        for record in found.brown_outs
    ]
    return ClientView(client=name, ways=[way for way in ways if way.days], brown_outs=brown_outs)


def _way(name: str, used: Way, oldest: int) -> WayView:
    protocol, _, dialect = name.partition(" ")
    by_day = {used.first_day + index: count for index, count in enumerate(used.by_day) if count}
    return WayView(
        protocol=protocol,
        dialect=dialect,
        days={_date(day): count for day, count in by_day.items() if day >= oldest},
        messages={
            key: MessageView(*_told(use), INSTEAD.get(key, NOT_NEEDED)) for key, use in sorted(used.messages.items())
        },
        agents={key: UseView(*_told(use)) for key, use in sorted(used.agents.items())},
    )


def _told(use: Use) -> tuple[int, str, str]:
    return use.count, _time(use.first), _time(use.last)


def _date(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
