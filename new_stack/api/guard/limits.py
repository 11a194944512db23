"""Limits on what one address and one connection may take."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web

from new_stack.api.guard.settings import GuardSettings
from new_stack.api.http.problems import ProblemError
from new_stack.log import log

KERNEL_BUFFER: Final = 65_536
DESCRIPTOR_SECONDS: Final = 1.0
KEEPALIVE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request; longer than the load balancers in front of it do."""


def raise_descriptor_limit() -> int:
    """Allow this process as many open files and connections as the system lets it; answers how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def descriptors() -> tuple[int, int]:
    """How many descriptors are open, and how many may be."""
    return sum(1 for _ in Path("/dev/fd").iterdir()), resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def watch_descriptors() -> None:
    """Tell when most of the descriptors are in use: beyond the last one nobody can connect."""
    near = False
    while True:
        used, most = descriptors()
        if (used > 0.8 * most) != near:
            near = not near
            event = "descriptors_nearly_used_up" if near else "descriptors_free_again"
            log.line("warning" if near else "info", event, {"used": used, "most": most})
        await asyncio.sleep(DESCRIPTOR_SECONDS)


def bound_buffers(transport: asyncio.Transport | None, high: int) -> None:
    """Bound what waits for a peer that does not read: here, and in the kernel, which would hold megabytes for each."""
    if transport is None:
        return
    transport.set_write_buffer_limits(high=high)
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)


def bound_first_request(runner: web.AppRunner, seconds: float) -> None:
    """Close a connection that does not send a first request in time. aiohttp has one timeout for that and the next ones
    (KEEPALIVE_SECONDS), and reads it before anything of ours is asked.
    """
    loop, server = asyncio.get_running_loop(), cast("web.Server", runner.server)
    noted = server.connection_made

    def await_first(handler: Any) -> None:
        if handler._keepalive_handle is not None:  # noqa: SLF001 - None where it is closed already
            handler._keepalive_handle.cancel()  # noqa: SLF001
            handler._next_keepalive_close_time = loop.time() + seconds  # noqa: SLF001
            handler._keepalive_handle = loop.call_later(seconds, handler._process_keepalive)  # noqa: SLF001

    def connection_made(handler: Any, transport: asyncio.Transport) -> None:
        noted(handler, transport)
        loop.call_soon(await_first, handler)  # once its usual timer is set

    server.connection_made = connection_made  # type: ignore[method-assign]  # there is no other way to hear of one


class ConnectionLimiter:
    """Counts long-lived connections by the address they come from."""

    def __init__(self, settings: GuardSettings) -> None:
        self._limit = settings.connections_per_address
        self._trust_forwarded = settings.trust_forwarded
        self._open: Counter[str] = Counter()

    @contextmanager
    def connection(self, request: web.Request) -> Iterator[None]:
        """Hold one place for the address that it comes from. Raises a 429 problem where that has none left."""
        address = self._address_of(request)
        if self._open[address] >= self._limit:
            raise ProblemError(
                429,
                f"{address} has {self._limit} open connections, which is the most that one address may have.",
                headers={"Retry-After": "5"},
                hint="Close some of them first.",
            )
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _address_of(self, request: web.Request) -> str:
        if self._trust_forwarded:
            forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
            if forwarded:
                return forwarded
        return request.remote or "unknown"


class ByteBudget:
    """Bounds the bytes that this process holds for all callers together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Hold so many more. Raises a 503 problem where there is no room for them."""
        if self.held + size > self._limit:
            raise ProblemError(
                503,
                "This server holds as many bytes of unfinished requests as it may.",
                headers={"Retry-After": "1", "Connection": "close"},
                hint="Try again. The limit is a setting of the server (HUBGATE_BODIES_LIMIT).",
            )
        self.held += size

    def give_back(self, size: int) -> None:
        """Hold so many less."""
        self.held -= size


class TokenBucket:
    """How fast one connection may send: `rate` messages a second sustained, twice that in a burst."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = rate * 2
        self._at = clock()

    def delay(self) -> float:
        """Take one token; how many seconds to wait before the message may be handled."""
        now = self._clock()
        self._tokens = min(self._rate * 2, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._tokens / self._rate)
