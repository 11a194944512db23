"""The pauses between tries at something that is away: doubling, capped, jittered. For every client of anything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

DOUBLINGS: Final = 10


class Backoff:
    """The pauses of one series of tries, in seconds. Each is drawn from the upper half of its range, so that many
    clients of one server do not come back at the same moment."""

    def __init__(self, *, first_s: float, longest_s: float, chance: Callable[[], float] = random.random) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance
        self.tries = 0
        """Pauses since it last worked."""

    def succeeded(self) -> None:
        """It works again: the next series begins with the shortest pause."""
        self.tries = 0

    def next_s(self) -> float:
        """How long to pause before the next try; each call counts as a try."""
        longest = min(self._longest_s, self._first_s * 2.0 ** min(self.tries, DOUBLINGS))
        self.tries += 1
        return longest * (0.5 + self._chance() / 2)

    async def pause(self, at_least_s: float = 0.0) -> None:
        """Wait before the next try, at least as long as the server asked."""
        await asyncio.sleep(max(at_least_s, self.next_s()))
