"""What those who submit jobs may do: submit, cancel, retry by hand."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from new_stack.queue.batcher import Batcher
from new_stack.queue.decoding import job_of
from new_stack.queue.errors import InvalidJob, InvalidTransition, JobConflict, JobNotFound, QueueError
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.idempotency import digest_of
from new_stack.queue.jobs import PRIORITY_LIMIT, Job, JobState, NewJob, Submission
from new_stack.queue.requirements import UNMATCHED, matched
from new_stack.queue.retry_policy import retries_of

BATCH_JOBS: Final = 200
BATCH_BYTES: Final = 1_000_000
"""What one call of `submit` may carry: enough to spread its cost, little enough not to hold up Redis."""

REASON_LIMIT: Final = 4_096
"""Longest reason kept of a cancellation, in characters."""

NAME_LIMIT: Final = 256
"""Longest id, service and client id, in characters."""

RETRIES_LIMIT: Final = 1000

NOT_BEFORE_LIMIT: Final = 2**53

EXTRA_LIMIT: Final = 65_536
"""Longest JSON of a submitter's own fields, in bytes."""

Row = tuple[str, str, bytes, bytes]
"""A submission as the function takes it: id, digest, the record as far as the submitter says it, payload."""

Answer = list[Any] | QueueError
"""What the function answers to one, or that Redis refused the call."""


class Producer:
    """Submits, cancels and retries jobs. Submissions made at once share one round trip."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller
        self._submissions: Batcher[Sequence[Row], list[Answer]] = Batcher(self._submit_rows)

    async def submit(self, job: NewJob) -> Submission:
        """Raises InvalidJob, JobConflict, QueueUnavailable."""
        [answer] = await self.submit_many([job])
        if isinstance(answer, QueueError):
            raise answer
        return answer

    async def submit_many(self, jobs: Sequence[NewJob]) -> list[Submission | QueueError]:
        """Submit many in few round trips: an answer or an error for each, in their order.

        Raises QueueUnavailable where none was stored; where Redis goes away in the middle, the rest answers so.
        """
        rows = [self._row_or_refusal(job) for job in jobs]
        replies = await self._submissions.add([row for row in rows if not isinstance(row, InvalidJob)])
        refused = [reply for reply in replies if isinstance(reply, QueueError)]
        if refused and len(refused) == len(replies):
            raise refused[0]
        answers = iter(replies)
        return [row if isinstance(row, InvalidJob) else _submission(row, next(answers)) for row in rows]

    async def cancel(self, job_id: str, reason: str = "Manually cancelled") -> Job:
        """End the job as cancelled, pending or claimed; again on a cancelled one answers the same.

        Raises JobNotFound, InvalidTransition (it completed or failed).
        """
        return _changed(job_id, "cancelled", await self._caller.commit("cancel", job_id, reason[:REASON_LIMIT]))

    async def retry(self, job_id: str) -> Job:
        """Put a failed or cancelled job back among the pending ones by hand, its failures forgotten.

        Raises JobNotFound, InvalidTransition.
        """
        return _changed(job_id, "retried", await self._caller.commit("retry", job_id))

    async def show(self, job_id: str) -> None:
        """Tell monitors how the job stands, as an event; nothing is changed. Raises JobNotFound."""
        if not await self._caller.write("show", job_id):
            raise JobNotFound(f"there is no job {job_id}")

    def _row_or_refusal(self, job: NewJob) -> Row | InvalidJob:
        try:
            return self._row(job)
        except InvalidJob as invalid:
            return invalid

    def _row(self, job: NewJob) -> Row:
        settings = self._caller.settings
        retries = retries_of(job.retry_policy, job.max_retries, settings.max_retries)
        digest = check(job, payload_limit=settings.payload_limit, retries=retries)
        extra = bytes(job.extra).decode(errors="replace") if job.extra else None
        group, rank = matched(job) if settings.matching else UNMATCHED
        record = msgspec.structs.asdict(job) | {"max_retries": retries, "extra": extra, "group": group, "rank": rank}
        payload, job_id = bytes(record.pop("payload")), record.pop("id") or str(uuid.uuid4())
        told = {name: value for name, value in record.items() if value is not None}
        return (job_id, digest, msgspec.msgpack.encode(told), payload)

    async def _submit_rows(self, submissions: Sequence[Sequence[Row]]) -> list[list[Answer]]:
        """The answers to each; from where Redis refuses a call on, that it did."""
        rows = [row for submission in submissions for row in submission]
        answers: list[Answer] = []
        for batch in _batches(rows):
            try:
                answers += await self._caller.commit("submit", len(batch), *(value for row in batch for value in row))
            except QueueError as error:
                answers += [error] * (len(rows) - len(answers))
                break
        rest = iter(answers)
        return [list(islice(rest, len(submission))) for submission in submissions]


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        length = len(row[-1])
        if batch and (len(batch) == BATCH_JOBS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def _submission(row: Row, reply: Answer) -> Submission | QueueError:
    if isinstance(reply, QueueError):
        return reply
    job_id, _, told, payload = row
    if reply[0] == b"conflict":
        return JobConflict(f"the id {job_id} is taken by a job with other content")
    word, state_word, position, *rest = reply
    state, created = JobState(state_word.decode()), word == b"created"
    if created:
        at = {name: ms for name, ms in zip(("created_at", "deadline_at"), rest, strict=True) if ms}
        job = job_of((job_id.encode(), told, payload, b""), state=state, position=position, **at)
    else:
        job = job_of(rest[0], position=position)
    return Submission(job_id=job_id, state=state, created=created, position=position, job=job)


def check_changed(job_id: str, verb: str, reply: Sequence[Any]) -> None:
    """Raises JobNotFound or InvalidTransition where a function says that it could not change the job so."""
    if reply[0] == b"missing":
        raise JobNotFound(f"there is no job {job_id}")
    if reply[0] == b"refused":
        raise InvalidTransition(f"job {job_id} is {reply[1].decode()} and cannot be {verb}")


def _changed(job_id: str, verb: str, reply: Sequence[Any]) -> Job:
    check_changed(job_id, verb, reply)
    job = job_of(reply[1], position=reply[2])
    if job is None:
        raise JobNotFound(f"there is no job {job_id}")
    return job


def check(job: NewJob, *, payload_limit: int, retries: int) -> str:
    """Refuse what cannot be a job; answers the digest that tells whether two submissions are the same.

    Raises InvalidJob, which names the field.
    """
    _check_name("service_required", job.service_required)
    if job.id is not None:
        _check_name("id", job.id)
        if job.id in {".", ".."} or "/" in job.id or "\\" in job.id:
            raise InvalidJob("id", "must not be . or .. nor contain a slash: it could not be addressed in a URL")
    if job.client_id is not None:
        _check_name("client_id", job.client_id)
    if len(memoryview(job.extra or b"")) > EXTRA_LIMIT:
        raise InvalidJob("extra", f"must not be longer than {EXTRA_LIMIT} bytes as JSON")
    _check_whole("priority", job.priority, -PRIORITY_LIMIT, PRIORITY_LIMIT)
    _check_whole("max_retries", retries, 0, RETRIES_LIMIT)
    if job.not_before is not None:
        _check_whole("not_before", job.not_before, 0, NOT_BEFORE_LIMIT)
    size = len(memoryview(job.payload))
    if size > payload_limit:
        raise InvalidJob("payload", f"is {size} bytes long; the limit is {payload_limit}")
    return digest_of(job, retries)


def _check_name(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidJob(field, "must be text")
    if not value.strip():
        raise InvalidJob(field, "must not be empty")
    if len(value) > NAME_LIMIT:
        raise InvalidJob(field, f"must not be longer than {NAME_LIMIT} characters")
    if not value.isprintable():
        raise InvalidJob(field, "must not contain control characters")


def _check_whole(field: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidJob(field, "must be a whole number")
    if not least <= value <= most:
        raise InvalidJob(field, f"must be from {least} to {most}")
