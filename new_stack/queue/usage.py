"""What clients have used: counted in Redis by client and by day, for a bounded number of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from new_stack.queue.decoding import pairs
from new_stack.queue.function_caller import FunctionCaller

DAYS_KEPT: Final = 90
CLIENTS_KEPT: Final = 10_000
CLIENTS_AT_ONCE: Final = 100
"""How many clients one call counts: each takes Redis some 10 µs."""

IN_FLIGHT_PAGE: Final = 500
"""How many records one call of `in_flight` reads: some two milliseconds of Redis."""

REFUSED: Final = "refused"
"""Stands in the place of a message where the client was turned away."""


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """How often a client used one way (protocol and dialect) for one thing, and when last (ms since the epoch)."""

    way: str
    agent: str
    message: str
    at: int
    count: int


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """A client was turned away, by the brown-out that began then; both in ms. `in_flight`: jobs it was waiting for."""

    began_at: int
    at: int
    in_flight: int


class ClientCount(msgspec.Struct, frozen=True, array_like=True):
    """What is to be added for one client."""

    client: str
    uses: list[Counted]
    refusals: list[Refused]


class Use(msgspec.Struct, frozen=True, array_like=True):
    """How often, and when first and last (s since the epoch)."""

    count: int
    first: int
    last: int


class Way(msgspec.Struct, frozen=True):
    """One protocol and dialect: uses by day from the first one on (days since the epoch), by message, by user agent."""

    first_day: int = msgspec.field(name="f")
    by_day: list[int] = msgspec.field(name="n")
    messages: dict[str, Use] = msgspec.field(name="m")
    agents: dict[str, Use] = msgspec.field(name="a")


class BrownOutRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a brown-out did to a client (times in ms); `way` and `back_at` say how and when it came back, if it did."""

    began_at: int
    refused_at: int
    refused: int
    in_flight: int
    way: str
    back_at: int


class ClientUsage(msgspec.Struct, frozen=True):
    """What one client has used; `last` in s since the epoch."""

    last: int = msgspec.field(name="t")
    ways: dict[str, Way] = msgspec.field(name="w")
    brown_outs: list[BrownOutRecord] = msgspec.field(name="b", default_factory=list)


class UsagePage(msgspec.Struct, frozen=True):
    """Some clients; the first page has the days as well: by way and message, how often all used it together."""

    clients: dict[str, ClientUsage]
    days: dict[int, dict[str, int]]
    cursor: str | None


_record: Final = msgspec.msgpack.Decoder(ClientUsage)
_counts: Final = msgspec.msgpack.Decoder(dict[str, int])


class UsageStore:
    """Counts and reads what clients use, and which jobs they wait for."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller

    async def add(self, counts: Sequence[ClientCount]) -> int:
        """Add at most CLIENTS_AT_ONCE clients; how many others were forgotten to make room. Raises QueueUnavailable."""
        packed = msgspec.msgpack.encode(counts)
        return int(await self._caller.write("usage_count", CLIENTS_KEPT, DAYS_KEPT, packed))

    async def page(self, cursor: str = "0", *, count: int = 200, client: str = "") -> UsagePage:
        """About so many clients, or the one that is named. Raises QueueUnavailable."""
        after, clients, days = await self._caller.read("usage", cursor, count, client)
        return UsagePage(
            clients={name: _record.decode(packed) for name, packed in pairs(clients)},
            days={int(day): _counts.decode(packed) for day, packed in pairs(days)},
            cursor=None if after == b"0" else after.decode(),
        )

    async def in_flight(self, *, page: int = IN_FLIGHT_PAGE) -> AsyncIterator[list[tuple[str, str]]]:
        """The jobs that have not ended, each with its client's id ("" for none), in pages of about so many.

        One that moves meanwhile, from the ready ones to a worker, say, may come twice or not at all: its events tell.
        """
        set_name, cursor = b"", b"0"
        while True:
            set_name, cursor, flat = await self._caller.read("in_flight", set_name, cursor, page)
            words = iter(flat)
            yield [(job_id.decode(), client.decode()) for job_id, client in zip(words, words, strict=True)]
            if not set_name:
                return
