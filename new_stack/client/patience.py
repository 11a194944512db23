"""How long a client puts up with a server that is away, and how it spaces its tries."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import msgspec

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """The client's time-outs, in seconds."""

    request_s: float = 30
    """How long one try of a request may take."""
    connect_s: float = 10
    silence_s: float = 45
    """How long a stream may be silent (the server sends a sign of life every 15 s) before it counts as broken."""
    away_s: float = 60
    """How long a server may stay away before the client gives up."""

    def begin(self) -> Attempt:
        """Begin to count."""
        return Attempt(self.away_s)


class Attempt:
    """Tries at one thing, spaced by a doubling, jittered pause."""

    def __init__(self, away_s: float) -> None:
        self._away_s = away_s
        self._tries = 0
        self._since: float | None = None

    def succeeded(self) -> None:
        """It works again."""
        self._tries = 0
        self._since = None

    async def pause_or_raise(self, error: Exception, hint_s: float = 0.0) -> None:
        """Wait before the next try, at least as long as the server asked; raise `error` once patience is at its end."""
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._tries, 10))
        pause_s = max(hint_s, pause_s) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter needs no secrecy
        if now + pause_s - self._since > self._away_s:
            raise error
        self._tries += 1
        await asyncio.sleep(pause_s)
