"""Whether anybody reaps but this worker: a busy one does so itself where nobody else has."""

from __future__ import annotations

import time
from typing import Final

from new_stack.worker.context import WorkerContext

LONG_AGO_S: Final = 2.0
"""API servers and idle workers reap every second or so."""
SLACK_S: Final = 0.1
STOPS: Final = 0.5
"""By this chance a worker leaves it to the others that it hears of: they may be about to leave it to this one."""


class Reaping:
    """What each heartbeat says of when somebody last reaped."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._reaped_at = 0.0
        self._due_at = self._next_due()
        self.alone = False
        """Whether this worker has to reap, since nobody else does."""

    @property
    def due(self) -> bool:
        """Whether this worker has to reap now even where others do, to forget what has expired."""
        return time.monotonic() >= self._due_at

    def reaped(self) -> None:
        """This worker has."""
        self._reaped_at = time.monotonic()
        self._due_at = self._next_due()

    def _next_due(self) -> float:
        return time.monotonic() + self._context.jitter(self._context.settings.reap_interval_ms / 1000, 0.25)

    def heard(self, ago_s: float) -> None:
        """Somebody has, that long ago; perhaps this worker itself."""
        if ago_s > LONG_AGO_S:
            self.alone = True
        elif ago_s < time.monotonic() - self._reaped_at - SLACK_S and self._context.chance.random() < STOPS:
            self.alone = False
