"""Claims whose answer was lost: in Redis the jobs are this worker's, and nobody runs them."""

from __future__ import annotations

import asyncio
from typing import Final

from new_stack.queue.jobs import Job, JobState, Lease, Released
from new_stack.worker.context import WorkerContext

LIMIT: Final = 1_000
"""How many claimed jobs are looked through; the leases of any others run out."""
AGE_S: Final = 0.5
"""How far apart an orphan has to be seen twice: the answer to another claim may still be under way."""


class OrphanedClaims:
    """Finds them, so that they are released at once, instead of waiting for their leases to run out."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._suspects: dict[tuple[str, int], float] = {}

    @property
    def suspected(self) -> bool:
        """Whether some were seen once and have to be looked for again, after a while."""
        return bool(self._suspects)

    async def found(self, known: set[tuple[str, int]]) -> list[Released]:
        """The jobs held that are not known here, for the second time, to be handed back. Raises QueueError."""
        queue, worker_id = self._context.queue, self._context.worker_id
        held = (await queue.jobs(state=JobState.CLAIMED, worker_id=worker_id, limit=LIMIT, bodies=False)).jobs
        now = asyncio.get_running_loop().time()
        unknown = {(job.id, job.attempt): job for job in held if (job.id, job.attempt) not in known}
        since = {key: self._suspects.get(key, now) for key in unknown}
        sure = [key for key in since if now - since[key] >= AGE_S]
        self._suspects = {key: at for key, at in since.items() if key not in sure}
        for job_id, attempt in sure:
            self._context.log.warning("orphaned_claim_released", job_id=job_id, attempt=attempt)
        return [Released(lease=self._lease(unknown[key])) for key in sure]

    def _lease(self, job: Job) -> Lease:
        return Lease(
            job_id=job.id,
            attempt=job.attempt,
            worker_id=self._context.worker_id,
            service_required=job.service_required,
            priority=job.priority,
            max_retries=job.max_retries,
            failures=job.failures,
            expires_at=0,
        )
