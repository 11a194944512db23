"""Why a job waits: which live workers could take it, and for each other one the first reason why not, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from new_stack.matching import Reason, describe
from new_stack.queue.decoding import job_of
from new_stack.queue.jobs import Job, JobState

WORKERS_LIMIT: Final = 1_000


class AbleWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A live worker that could take the job; `idle`: it waits for work at this moment."""

    worker_id: str
    idle: bool


class UnableWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A live worker that cannot take the job: the rule that the pair breaks, and the same in words."""

    worker_id: str
    rule: str
    reason: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job stands and who could take it. Times are ms since the epoch by Redis's clock."""

    job_id: str
    state: JobState
    sentence: str
    able: tuple[AbleWorker, ...] = ()
    unable: tuple[UnableWorker, ...] = ()
    unworkable_since: int | None = None
    """Since when no live worker can take it; None where one can."""
    due_at: int | None = None
    """When it may run again (or for the first time); None where it may now."""
    more: bool = False
    """There are more workers than these."""


def explanation_of(reply: Sequence[Any]) -> Explanation | None:
    """The reply of `explain`; None where there is no such job, or one whose record makes no sense."""
    job = job_of(reply[0]) if reply else None
    if job is None:
        return None
    _, since, due, rows, more = reply
    words = [tuple(part.decode() for part in row) for row in rows]
    able = tuple(AbleWorker(worker_id=name, idle=bool(idle)) for name, idle, rule, _ in words if not rule)
    unable = tuple(
        UnableWorker(worker_id=name, rule=rule, reason=describe(Reason(rule, value)))
        for name, _, rule, value in words
        if rule
    )
    unworkable_since = int(since) if since and not able else None
    due_at = int(float(due)) if due else None
    return Explanation(
        job_id=job.id,
        state=job.state,
        sentence=_sentence(job, able, unworkable_since, due_at),
        able=able,
        unable=unable,
        unworkable_since=unworkable_since,
        due_at=due_at,
        more=bool(more),
    )


def waiting_reason(job: Job) -> str | None:
    """Why a pending job stands where it is though it is its turn: a pause, or nobody alive can take it."""
    if job.paused_since is not None:
        return f"the service {job.service_required!r} is paused"
    if job.unserved_since is None:
        return None
    if job.group:
        return f"no worker that serves {job.service_required!r} can do what the job asks for"
    return f"no worker serves {job.service_required!r}"


def _sentence(job: Job, able: Sequence[AbleWorker], unworkable_since: int | None, due_at: int | None) -> str:
    if job.state is JobState.CLAIMED:
        return f"{job.worker_id} runs it."
    if job.state is not JobState.PENDING:
        return f"It is {job.state}: nothing is to be done."
    waits = f"It is due at {_time(due_at)}. " if due_at else ""
    if able:
        idle = sum(worker.idle for worker in able)
        return f"{waits}{len(able)} live worker{'s' * (len(able) != 1)} could take it, {idle} with a free place."
    since = f" since {_time(unworkable_since)}" if unworkable_since else ""
    return f"{waits}Unworkable{since}: no live worker can take it."


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
