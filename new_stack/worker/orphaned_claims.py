"""Jobs that a call claimed whose answer was lost: in Redis they are ours, and nobody runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from new_stack.queue import Queue
from new_stack.queue.jobs import Job, JobState, Lease, Released

LIMIT: Final = 1_000
"""How many jobs are looked through; the leases of any others run out."""
AFTER_S: Final = 0.5
"""How far apart a stray has to be seen twice: the answer to another claim may still be on its way."""


class OrphanedClaims:
    """Looks for them. Those found go back to the line at once, instead of waiting for their leases to run out."""

    def __init__(self, queue: Queue, worker_id: str) -> None:
        self._queue = queue
        self._worker_id = worker_id
        self._suspects: dict[tuple[str, int], float] = {}

    @property
    def suspected(self) -> bool:
        """Whether some were seen once and have to be looked for again, after a while."""
        return bool(self._suspects)

    async def jobs(self) -> tuple[Job, ...]:
        """What Redis says that we hold. Raises QueueUnavailable."""
        return (await self._queue.jobs(state=JobState.CLAIMED, worker_id=self._worker_id, limit=LIMIT)).jobs

    def found(self, held: Iterable[Job], known: set[tuple[str, int]]) -> list[Released]:
        """Those of the jobs held that are not known here, for the second time; as what gives them back."""
        now = asyncio.get_running_loop().time()
        unknown = {(job.id, job.attempt): job for job in held if (job.id, job.attempt) not in known}
        since = {key: self._suspects.get(key, now) for key in unknown}
        sure = [key for key in since if now - since[key] >= AFTER_S]
        self._suspects = {key: at for key, at in since.items() if key not in sure}
        return [Released(lease=_lease_of(unknown[key], self._worker_id)) for key in sure]


def _lease_of(job: Job, worker_id: str) -> Lease:
    return Lease(
        job_id=job.id,
        attempt=job.attempt,
        worker_id=worker_id,
        service_required=job.service_required,
        payload=job.payload,
        priority=job.priority,
        client_id=job.client_id,
        max_retries=job.max_retries,
        failures=job.failures,
        expires_at=0,
    )
