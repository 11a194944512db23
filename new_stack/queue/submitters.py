"""The submitters' part of the queue."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from new_stack.queue import submission
from new_stack.queue.calls import Calls
from new_stack.queue.errors import InvalidJob, JobConflict, JobNotFound, MoveRefused, QueueError, QueueUnavailable
from new_stack.queue.gather import Gather
from new_stack.queue.jobs import Job, JobState, NewJob, Submission
from new_stack.queue.replies import job_of
from new_stack.queue.wire import Argument

BATCH_JOBS: Final = 200
BATCH_BYTES: Final = 1_000_000
"""What one call of `submit` may carry: enough to spread its cost, little enough not to hold up Redis."""


REASON_LIMIT: Final = 4_096
"""Longest reason kept of a cancellation, in characters."""


class Submitters:
    """Submit, cancel, retry."""

    _calls: Calls

    def _prepare_submitting(self) -> None:
        self._submits: Gather[tuple[Argument, ...], list[Any] | QueueUnavailable] = Gather(self._submit_rows, _let_be)

    async def submit(self, job: NewJob) -> Submission:
        """Raises InvalidJob, JobConflict, QueueUnavailable. Calls made at once share one round trip."""
        row = self._row(job)
        answer = _submission(row, await self._submits.add(row))
        if isinstance(answer, QueueError):
            raise answer
        return answer

    async def submit_many(self, jobs: Sequence[NewJob]) -> list[Submission | QueueError]:
        """Submit many in few round trips: an answer or an error for each, in their order.

        Raises QueueUnavailable where none was stored; where Redis goes away in the middle, the rest answers so.
        """
        answers: list[Submission | QueueError] = []
        rows: list[tuple[Argument, ...]] = []
        places: list[int] = []
        for place, job in enumerate(jobs):
            try:
                rows.append(self._row(job))
            except InvalidJob as invalid:
                answers.append(invalid)
            else:
                places.append(place)
                answers.append(_UNANSWERED)
        for place, row, reply in zip(places, rows, await self._submit_rows(rows), strict=True):
            answers[place] = _submission(row, reply)
        return answers

    async def cancel(self, job_id: str, reason: str = "Manually cancelled") -> Job:
        """End the job as cancelled, pending or claimed; again on a cancelled one answers the same.

        Raises JobNotFound, MoveRefused (it completed or failed).
        """
        return _moved(job_id, "cancelled", await self._calls.write("cancel", job_id, reason[:REASON_LIMIT]))

    async def retry(self, job_id: str) -> Job:
        """Put a failed or cancelled job back in the line by hand, its failures forgotten.

        Raises JobNotFound, MoveRefused.
        """
        return _moved(job_id, "retried", await self._calls.write("retry", job_id))

    def _row(self, job: NewJob) -> tuple[Argument, ...]:
        settings = self._calls.settings
        checked = submission.check(job, payload_limit=settings.payload_limit, default_retries=settings.max_retries)
        return (
            job.id or str(uuid.uuid4()),
            job.service_required,
            bytes(job.payload),
            job.priority,
            job.client_id or "",
            settings.max_retries if job.max_retries is None else job.max_retries,
            checked.digest,
        )

    async def _submit_rows(self, rows: Sequence[tuple[Argument, ...]]) -> list[list[Any] | QueueUnavailable]:
        """An answer for each. Raises QueueUnavailable where nothing was stored; later batches say it one by one."""
        replies: list[list[Any] | QueueUnavailable] = []
        for batch in _batches(rows):
            try:
                replies += await self._calls.write("submit", len(batch), *(value for row in batch for value in row))
            except QueueUnavailable as error:
                if not replies:
                    raise
                replies += [error] * (len(rows) - len(replies))
                break
        return replies


async def _let_be(_: object) -> None:
    """A job whose submitter went away is a job all the same."""


_UNANSWERED: Final = QueueError("not answered")


def _batches(rows: Sequence[tuple[Argument, ...]]) -> Iterator[list[tuple[Argument, ...]]]:
    batch: list[tuple[Argument, ...]] = []
    size = 0
    for row in rows:
        payload = row[2]
        length = len(payload) if isinstance(payload, bytes) else 0
        if batch and (len(batch) == BATCH_JOBS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def _submission(row: tuple[Argument, ...], reply: list[Any] | QueueUnavailable) -> Submission | QueueError:
    if isinstance(reply, QueueUnavailable):
        return reply
    job_id = str(row[0])
    if reply[0] == b"conflict":
        return JobConflict(f"the id {job_id} is taken by a job with other content")
    return Submission(
        job_id=job_id, state=JobState(reply[1].decode()), created=reply[0] == b"created", position=reply[2]
    )


def _moved(job_id: str, verb: str, reply: Sequence[Any]) -> Job:
    if reply[0] == b"missing":
        raise JobNotFound(f"there is no job {job_id}")
    if reply[0] == b"refused":
        raise MoveRefused(f"job {job_id} is {reply[1].decode()} and cannot be {verb}")
    job = job_of(job_id, reply[1])
    if job is None:
        raise JobNotFound(f"there is no job {job_id}")
    return job
