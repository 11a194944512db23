"""What the worker's loops share while Redis is away: one back-off, one log line at each edge."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from new_stack.queue.errors import QueueError
from new_stack.worker.log import EventLog

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0


class Outage:
    """Whether Redis is away, since when, and how long to pause before the next try."""

    def __init__(
        self, log: EventLog, *, now: Callable[[], float] = time.monotonic, chance: random.Random | None = None
    ) -> None:
        self._log = log
        self._now = now
        self._chance = chance or random.Random()  # noqa: S311 - jitter needs no secrecy
        self._since: float | None = None
        self._tries = 0

    @property
    def lasting(self) -> bool:
        """Whether Redis is away as far as we know."""
        return self._since is not None

    def noticed(self, error: QueueError) -> None:
        """A call failed because Redis is away."""
        if self._since is None:
            self._since = self._now()
            self._tries = 0
            self._log.warning("redis_away", error=str(error))

    def over(self) -> None:
        """A call went through."""
        if self._since is not None:
            self._log.info("redis_back", away_s=round(self._now() - self._since, 3))
            self._since = None

    async def pause(self) -> None:
        """Wait before the next try: doubling, jittered, at most two seconds."""
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._tries, 10))
        self._tries += 1
        await asyncio.sleep(longest * (0.5 + self._chance.random() / 2))
