"""How long the client waits for a server, and how it repeats what failed because the server was away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import aiohttp
import msgspec

from new_stack.backoff import Backoff
from new_stack.client.errors import ServerUnavailable

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0

Reply = TypeVar("Reply")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The client's limits, in seconds."""

    request_s: float = 30
    """How long one try of a request may take."""
    connect_s: float = 10
    idle_timeout_s: float = 45
    """How long a stream may be silent (the server sends a keep-alive every 15 s) before it counts as broken."""
    retry_budget_s: float = 60
    """How long the client repeats a request, or a stream's connection, before it raises ServerUnavailable."""


class Retry:
    """Repeats one request, or one stream's connection, with growing pauses, until the retry budget is used up."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._budget_s = timeouts.retry_budget_s
        self._backoff = Backoff(first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S)
        self._failing_since: float | None = None

    def succeeded(self) -> None:
        """The server answered: the next failure starts with the full budget."""
        self._backoff.succeeded()
        self._failing_since = None

    async def pause_or_raise(self, error: ServerUnavailable, at_least_s: float = 0.0) -> None:
        """Wait before the next try, as long as the server asked; raise `error` where that exceeds the budget."""
        now = asyncio.get_running_loop().time()
        self._failing_since = now if self._failing_since is None else self._failing_since
        pause_s = max(at_least_s, error.retry_after_s, self._backoff.next_s())
        if now + pause_s - self._failing_since > self._budget_s:
            raise error
        await asyncio.sleep(pause_s)

    async def run(self, request: Callable[[], Awaitable[Reply]]) -> Reply:
        """Repeat a request that is safe to repeat. Raises what it raises, ServerUnavailable after the budget only."""
        while True:
            try:
                return await request()
            except ServerUnavailable as error:
                await self.pause_or_raise(error)


@contextlib.contextmanager
def connection_errors(what: str) -> Iterator[None]:
    """Turn the errors of a connection into ServerUnavailable, with what was done as its beginning."""
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ServerUnavailable(f"{what}: {error or type(error).__name__}") from error
