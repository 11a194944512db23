"""Jobs that failed for good, by the reason why; and what is done with many jobs at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from new_stack.queue.errors import InvalidTransition, JobNotFound
from new_stack.queue.jobs import Job, JobState
from new_stack.queue.queue import Queue

LOOKED_AT: Final = 100_000
"""How many jobs one change in bulk looks at, the newest first."""
GROUPED: Final = 20_000
"""How many failed jobs are grouped, the newest first: pages ask for that every few seconds."""
AT_ONCE: Final = 100
PAGE: Final = 500
EXAMPLES: Final = 3
NAMED: Final = 100
REASON_LENGTH: Final = 200

_IDS: Final = re.compile(r"[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}|\b(?=[a-f]*\d)[\da-f]{8,}\b", re.IGNORECASE)
_CODE: Final = r"\b(?:http(?:/[\d.]+)?(?: error)?|status|code|errno|signal)[\s:=#(\[-]{0,3}\d{1,4}\b(?!\.\d|\s?%)"
"""A status, an exit code or an error number is what an error says: 404 is another reason than 503."""
_CODES_AND_NUMBERS: Final = re.compile(rf"({_CODE})|\d+(?:\.\d+)?", re.IGNORECASE)

Action = Literal["retry", "cancel", "drop"]

STATES: Final[Mapping[Action, tuple[JobState, ...]]] = {
    "retry": (JobState.FAILED, JobState.CANCELLED),
    "cancel": (JobState.PENDING, JobState.CLAIMED),
    "drop": (JobState.FAILED, JobState.CANCELLED, JobState.COMPLETED),
}
"""The jobs that an action can be taken with."""


class FailureFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs are meant: those for which all that is given holds. Times are ms since the epoch."""

    state: JobState | None = None
    """Without it: failed ones; where they are to be cancelled, pending and claimed ones."""
    q: str | None = None
    """As in a listing: it stands in the id, the client's id or the error."""
    client_id: str | None = None
    reason: str | None = None
    """As `normalised` writes it, and the listing shows it."""
    service: str | None = None
    worker_id: str | None = None
    after: int | None = None
    """It ended then or later; where it has not ended, it was submitted then or later."""
    before: int | None = None
    """The same, sooner."""

    def holds(self, job: Job) -> bool:
        """Whether a job is one of them; what is not looked at here is by the listing."""
        at = job.ended_at or job.created_at
        return (
            (self.reason is None or normalised(job.error) == self.reason)
            and (self.after is None or at >= self.after)
            and (self.before is None or at < self.before)
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
    """The first line of an error without what differs from job to job: ids and numbers, codes excepted."""
    reason = (error or "").strip().partition("\n")[0][: 4 * REASON_LENGTH]
    reason = _CODES_AND_NUMBERS.sub(lambda found: found[1] or "N", _IDS.sub("…", reason))
    return reason[:REASON_LENGTH] or "no reason given"


async def failures(queue: Queue, wanted: FailureFilter) -> Failures:
    """The newest failed jobs by service and reason. Raises QueueUnavailable."""
    groups: dict[tuple[str, str], FailureGroup] = {}
    pages = _Pages(queue, wanted, (JobState.FAILED,), GROUPED)
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


async def in_bulk(
    queue: Queue, action: Action, wanted: FailureFilter, *, dry_run: bool, limit: int, cancel_reason: str = ""
) -> BulkResult:
    """Retry, cancel or drop up to `limit` jobs; one that is in another state by then is left alone.

    Raises QueueUnavailable; what was done until then is done.
    """
    acts: Mapping[Action, Callable[[str], Awaitable[Any]]] = {
        "retry": queue.retry,
        "cancel": lambda job_id: queue.cancel(job_id, cancel_reason),
        "drop": queue.drop,
    }
    result = BulkResult(action=action, dry_run=dry_run, job_ids=[])
    states = (JobState.PENDING, JobState.CLAIMED) if action == "cancel" else (JobState.FAILED,)
    pages = _Pages(queue, wanted, states, LOOKED_AT)
    batch: list[str] = []
    async for job in pages.jobs():
        if result.matched == limit:
            result.more = True
            break
        result.matched += 1
        if len(result.job_ids) < NAMED:
            result.job_ids.append(job.id)
        batch.append(job.id)
        if len(batch) == AT_ONCE:
            result.changed += 0 if dry_run else await _done(acts[action], batch)
            batch = []
    result.changed += 0 if dry_run else await _done(acts[action], batch)
    result.more = result.more or pages.more
    return result


async def _done(act: Callable[[str], Awaitable[Any]], job_ids: list[str]) -> int:
    """Act on jobs, all at once; how many were still there to be acted on."""
    answers = await asyncio.gather(*map(act, job_ids), return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    for error in failed:
        if not isinstance(error, JobNotFound | InvalidTransition):
            raise error
    return len(answers) - len(failed)


class _Pages:
    """The jobs that a filter means, page by page, until enough are looked at; in these states, where it names none."""

    def __init__(self, queue: Queue, wanted: FailureFilter, states: tuple[JobState, ...], enough: int) -> None:
        self._queue = queue
        self._wanted = wanted
        self._states = states if wanted.state is None else (wanted.state,)
        self._enough = enough
        self.looked_at = 0
        self.more = False

    async def jobs(self) -> AsyncIterator[Job]:
        for state in self._states:
            async for job in self._in_state(state):
                yield job

    async def _in_state(self, state: JobState) -> AsyncIterator[Job]:
        cursor: str | None = None
        while True:
            page = await self._queue.jobs(
                state=state,
                service=self._wanted.service,
                worker_id=self._wanted.worker_id,
                client_id=self._wanted.client_id,
                text=self._wanted.q,
                cursor=cursor,
                limit=PAGE,
                bodies=False,
            )
            self.looked_at += page.looked_at
            for job in page.jobs:
                if self._wanted.holds(job):
                    yield job
            cursor = page.cursor
            if cursor is None:
                return
            if self.looked_at >= self._enough:
                self.more = True
                return
