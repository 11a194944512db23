"""Jobs that failed for good, by the reason why, and what is done with many of them at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from new_stack.queue.errors import InvalidTransition, JobNotFound
from new_stack.queue.jobs import Job, JobState
from new_stack.queue.queue import Queue

LOOKED_AT: Final = 10_000
"""How many failed jobs one request looks at, the newest first."""
PAGE: Final = 500
EXAMPLES: Final = 3
NAMED: Final = 100
REASON_LENGTH: Final = 200

_CHANGING: Final = (
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"), "…"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "…"),
    (re.compile(r"\d+(\.\d+)?"), "N"),
)
"""What differs between errors of one kind: ids and numbers."""

Action = Literal["retry", "drop"]


class FailureFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed jobs are meant: those for which all that is given holds. Times are ms since the epoch."""

    reason: str | None = None
    """As `normalised` writes it, and the listing shows it."""
    service: str | None = None
    worker_id: str | None = None
    after: int | None = None
    """It failed then or later."""
    before: int | None = None
    """It failed sooner."""

    def holds(self, job: Job) -> bool:
        """Whether a job is one of them; service and worker are looked at by the listing."""
        ended_at = job.ended_at or 0
        return (
            (self.reason is None or normalised(job.error) == self.reason)
            and (self.after is None or ended_at >= self.after)
            and (self.before is None or ended_at < self.before)
        )


class FailureGroup(msgspec.Struct, kw_only=True):
    """Failed jobs of one service with one reason."""

    reason: str
    service: str
    count: int = 0
    first_at: int
    last_at: int
    examples: list[str] = []


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """All reasons, the commonest first. `more`: there are older failed jobs that were not looked at."""

    groups: list[FailureGroup]
    looked_at: int
    more: bool


class BulkResult(msgspec.Struct, kw_only=True):
    """What became of the jobs that a filter meant; with `dry_run` nothing did."""

    action: Action
    dry_run: bool
    matched: int = 0
    changed: int = 0
    job_ids: list[str] = []
    """The first of them."""
    more: bool = False
    """There may be others: ask again."""


def normalised(error: str | None) -> str:
    """The first line of an error, with what differs from job to job taken out."""
    reason = (error or "").strip().partition("\n")[0][: 4 * REASON_LENGTH]
    for pattern, word in _CHANGING:
        reason = pattern.sub(word, reason)
    return reason[:REASON_LENGTH] or "no reason given"


async def failures(queue: Queue, wanted: FailureFilter) -> Failures:
    """The failed jobs by service and reason. Raises QueueUnavailable."""
    groups: dict[tuple[str, str], FailureGroup] = {}
    pages = _Pages(queue, wanted)
    async for job in pages.jobs():
        reason, at = normalised(job.error), job.ended_at or 0
        group = groups.setdefault(
            (job.service_required, reason),
            FailureGroup(reason=reason, service=job.service_required, first_at=at, last_at=at, examples=[]),
        )
        group.count += 1
        group.first_at, group.last_at = min(group.first_at, at), max(group.last_at, at)
        if len(group.examples) < EXAMPLES:
            group.examples.append(job.id)
    common = sorted(groups.values(), key=lambda group: (-group.count, group.service, group.reason))
    return Failures(groups=common, looked_at=pages.looked_at, more=pages.more)


async def in_bulk(queue: Queue, action: Action, wanted: FailureFilter, *, dry_run: bool, limit: int) -> BulkResult:
    """Retry or drop up to `limit` failed jobs; one that is no longer failed by then is left alone.

    Raises QueueUnavailable; what was done until then is done.
    """
    acts: Mapping[Action, Callable[[str], Awaitable[Any]]] = {"retry": queue.retry, "drop": queue.drop}
    result = BulkResult(action=action, dry_run=dry_run, job_ids=[])
    pages = _Pages(queue, wanted)
    async for job in pages.jobs():
        if result.matched == limit:
            result.more = True
            break
        result.matched += 1
        if len(result.job_ids) < NAMED:
            result.job_ids.append(job.id)
        if not dry_run:
            try:
                await acts[action](job.id)
            except (JobNotFound, InvalidTransition):
                continue
            result.changed += 1
    result.more = result.more or pages.more
    return result


class _Pages:
    """The failed jobs that a filter means, page by page."""

    def __init__(self, queue: Queue, wanted: FailureFilter) -> None:
        self._queue = queue
        self._wanted = wanted
        self.looked_at = 0
        self.more = False

    async def jobs(self) -> AsyncIterator[Job]:
        cursor: str | None = None
        while True:
            page = await self._queue.jobs(
                state=JobState.FAILED,
                service=self._wanted.service,
                worker_id=self._wanted.worker_id,
                cursor=cursor,
                limit=PAGE,
            )
            for job in page.jobs:
                self.looked_at += 1
                if self._wanted.holds(job):
                    yield job
            cursor = page.cursor
            self.more = cursor is not None
            if cursor is None or self.looked_at >= LOOKED_AT:
                return
