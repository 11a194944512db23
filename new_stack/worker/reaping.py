"""What a worker does for all: it forgets what is past and, where nobody else reaps, puts lost jobs back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from new_stack.worker.acknowledger import Acknowledger
from new_stack.worker.context import WorkerContext

REAP_ALONE_S: Final = 1.0
"""Leases run out only while somebody reaps every 3 s: a longer pause is taken for an outage of Redis."""
LONG_AGO_S: Final = 2.0
"""API servers and idle workers reap every second or so."""
SLACK_S: Final = 0.1
STOPS: Final = 0.5
"""By this chance a worker leaves it to the others that it hears of: they may be about to leave it to this one."""


class Reaping:
    """Each heartbeat says when somebody last reaped: a busy worker does so itself where nobody else has."""

    def __init__(self, context: WorkerContext, acknowledger: Acknowledger) -> None:
        self._context = context
        self._acknowledger = acknowledger
        self._alone = False
        self._note()

    def _note(self) -> None:
        """This worker has reaped, or has begun: now and then it does so even where others do."""
        self._reaped_at = time.monotonic()
        self._due_at = self._reaped_at + self._context.jitter(self._context.settings.reap_interval_ms / 1000, 0.25)

    def heard(self, ago_s: float) -> None:
        """Somebody has, that long ago; perhaps this worker itself."""
        if ago_s > LONG_AGO_S:
            self._alone = True
        elif ago_s < time.monotonic() - self._reaped_at - SLACK_S and self._context.chance.random() < STOPS:
            self._alone = False

    async def reap(self) -> None:
        """Forget what is past (ended jobs that have expired, workers long gone) now and then.

        It reaps expired leases as well; and every second, where nobody else does: no API server, no idle worker.
        """
        await asyncio.sleep(REAP_ALONE_S)
        by_itself = self._alone and not self._acknowledger.fetching  # who waits for work polls, and so reaps
        if by_itself or time.monotonic() >= self._due_at:
            self.log(await self._context.queue.reap())
            self._note()

    def log(self, job_ids: Sequence[str]) -> None:
        """Tell whose leases have run out."""
        if job_ids:
            self._context.log.warning("leases_expired", job_ids=job_ids)
