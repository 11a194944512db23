"""What stands in the clients' way: the traffic of sampled clients is told to the follower, and never waited for."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Protocol

from aiohttp import web

from harness.cassettes import Role
from harness.cassettes.record.proxy import forwarded
from harness.cassettes.record.sessions import role_and_name
from harness.shadow.traffic import Answered, Asked, Ended, Left, Lost, Message, Opened, PassedBy, Received, Sent

TELL_COUNTS_S: Final = 1.0
NOT_SAMPLED: Final = "clients that were not drawn"
LEFT_OUT: Final = {
    Role.WORKER: "connections of workers",
    Role.MONITOR: "connections of monitors",
    Role.SSE: "streams of server-sent events",
}


class Outlet(Protocol):
    """Where messages go. It takes them at once or not at all."""

    def put(self, message: Message) -> bool:
        """Whether it was taken."""
        ...


def is_drawn(client: str, sample: float) -> bool:
    """Whether a client is in the sample: the same client always is, or never."""
    drawn = int.from_bytes(blake2b(client.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    return drawn < sample * 2**64


class Tap:
    """The proxy's watch. A client is who a WebSocket's path names; of others, and of requests, it is the address."""

    def __init__(self, sample: float, outlet: Outlet, *, began: float) -> None:
        self._sample, self._outlet = sample, outlet
        self._began = began
        self._numbers = itertools.count(1)
        self._passed: Counter[str] = Counter()

    def socket(self, request: web.Request) -> _Tapped:
        """A WebSocket connection."""
        role, name = role_and_name(request.path_qs)
        if role in LEFT_OUT:
            return self._pass_by(LEFT_OUT[role])
        client = name if name != Role.CLIENT else _address(request)
        if not is_drawn(client, self._sample):
            return self._pass_by(NOT_SAMPLED)
        tapped = self._tapped()
        tapped.tell(Opened, client, request.path_qs, dict(forwarded(request.headers)))
        return tapped

    def request(self, request: web.Request, body: bytes) -> _Tapped:
        """An HTTP request."""
        client = _address(request)
        if not is_drawn(client, self._sample):
            return self._pass_by(NOT_SAMPLED)
        tapped = self._tapped()
        tapped.tell(Asked, client, request.method, request.path_qs, dict(forwarded(request.headers)), body)
        return tapped

    def stream(self, request: web.Request) -> _Tapped:  # noqa: ARG002 - a hub has no such streams
        """A stream of events, which no hub has."""
        return self._pass_by(LEFT_OUT[Role.SSE])

    def tell_counts(self) -> None:
        """Tell what was passed by since the last time."""
        if not self._passed:
            return
        if self._outlet.put(PassedBy(0, self.now_ms(), dict(self._passed))):
            self._passed.clear()
        else:
            asyncio.get_running_loop().call_later(TELL_COUNTS_S, self.tell_counts)

    def now_ms(self) -> float:
        """ms since the proxy began."""
        return round((time.monotonic() - self._began) * 1000, 1)

    def _tapped(self) -> _Tapped:
        return _Tapped(next(self._numbers), self._outlet, self.now_ms)

    def _pass_by(self, reason: str) -> _Tapped:
        if not self._passed:
            asyncio.get_running_loop().call_later(TELL_COUNTS_S, self.tell_counts)
        self._passed[reason] += 1
        return _Tapped(0, None, self.now_ms)


class _Tapped:
    """One connection or request. Once the follower did not take something of it, it is told nothing more of it."""

    def __init__(self, number: int, outlet: Outlet | None, clock: Callable[[], float]) -> None:
        self._number, self._outlet, self._clock = number, outlet, clock
        self._lost = False

    def tell(self, kind: Callable[..., Message], *fields: object) -> None:
        """Tell the follower, if it keeps up."""
        if self._outlet is None:
            return
        if self._lost:
            if self._outlet.put(Lost(self._number, self._clock())):
                self._outlet = None
        elif not self._outlet.put(kind(self._number, self._clock(), *fields)):
            self._lost = True

    def sent(self, data: str | bytes) -> None:
        self.tell(Sent, data)

    def received(self, data: str | bytes) -> None:
        self.tell(Received, data)

    def left(self, *, orderly: bool = False, code: int = 1000) -> None:
        self.tell(Left, orderly, code)

    def closed(self, code: int, reason: str = "") -> None:
        self.tell(Ended, code, reason)

    def answered(self, status: int, body: bytes) -> None:
        self.tell(Answered, status, body)

    def received_events(self, data: bytes) -> None:
        """No stream is followed."""

    def over(self) -> None:
        """The end was told, or there was none to tell."""


def _address(request: web.Request) -> str:
    """The client's, also behind a load balancer."""
    return request.headers.get("X-Forwarded-For", "").split(",")[0].strip() or request.remote or ""
