"""`Queue`: the one way that Python touches the jobs in Redis. Every change of state is one Redis Function."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Self

import msgspec

from new_stack.queue.errors import QueueError
from new_stack.queue.events import Event
from new_stack.queue.jobs import (
    End,
    Job,
    JobState,
    Lease,
    NewJob,
    ProgressUpdate,
    QueueCounts,
    Submission,
    WorkerInfo,
    WorkerReport,
)
from new_stack.queue.settings import QueueSettings


class Wake(StrEnum):
    """Why a wait ended."""

    WORK = "work"
    SIGNAL = "signal"
    TIMEOUT = "timeout"


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A word to one worker: this attempt of this job was cancelled."""

    job_id: str
    attempt: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first; `cursor` is None on the last one."""

    jobs: tuple[Job, ...]
    cursor: str | None


class Queue:
    """A connection to the queue. Safe to share between the tasks of one event loop."""

    @classmethod
    async def connect(cls, settings: QueueSettings, *, install: bool = True) -> Self:
        """Open the queue and, with `install`, load the functions library where it is missing or older.

        Raises QueueUnavailable and RedisTooOld.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError

    async def ping(self) -> float:
        """Round-trip time in ms. Raises QueueUnavailable."""
        raise NotImplementedError

    # submitters
    async def submit(self, job: NewJob) -> Submission:
        """Raises InvalidJob, JobConflict, QueueUnavailable. Calls made at once share one round trip."""
        raise NotImplementedError

    async def submit_many(self, jobs: Sequence[NewJob]) -> list[Submission | QueueError]:
        """Submit many in one round trip: an answer or an error for each, in their order."""
        raise NotImplementedError

    async def cancel(self, job_id: str, reason: str = "Manually cancelled") -> Job:
        """End the job as cancelled, pending or claimed; again on a cancelled one answers the same.

        Raises JobNotFound, MoveRefused (it completed or failed).
        """
        raise NotImplementedError

    async def retry(self, job_id: str) -> Job:
        """Put a failed or cancelled job back in the line by hand, its failures forgotten.

        Raises JobNotFound, MoveRefused.
        """
        raise NotImplementedError

    # workers
    async def claim(self, worker_id: str, count: int = 1) -> list[Lease]:
        """Take up to `count` jobs, highest priority first, then oldest, each with a lease."""
        raise NotImplementedError

    async def renew(self, leases: Sequence[Lease]) -> list[LeaseState]:
        """Keep the leases for another term; answers how each stands."""
        raise NotImplementedError

    async def progress(self, lease: Lease, update: ProgressUpdate) -> None:
        """Also renews the lease. Raises LeaseLost."""
        raise NotImplementedError

    async def end(self, end: End) -> JobState:
        """Complete, fail or release. Raises LeaseLost. Answers the job's new state (PENDING: it will run again)."""
        raise NotImplementedError

    async def end_and_claim(
        self, worker_id: str, ends: Sequence[End], count: int
    ) -> tuple[list[JobState | QueueError], list[Lease]]:
        """End jobs and claim up to `count` next ones in one round trip."""
        raise NotImplementedError

    async def wait(self, worker_id: str, *, for_work: bool, timeout_ms: int) -> tuple[Wake, Signal | None]:
        """Block until there may be work (if `for_work`), a signal for this worker, or the time-out."""
        raise NotImplementedError

    async def reap(self) -> list[str]:
        """Put back jobs whose lease ran out, promote delayed retries that are due, forget dead workers and old ends."""
        raise NotImplementedError

    async def heartbeat(self, report: WorkerReport) -> None:
        """Say that a worker is alive, and what it is doing."""
        raise NotImplementedError

    async def unregister(self, worker_id: str) -> None:
        """Forget a worker that left in order."""
        raise NotImplementedError

    # readers
    async def job(self, job_id: str) -> Job | None:
        """One job, or None."""
        raise NotImplementedError

    async def jobs(
        self,
        *,
        state: JobState | None = None,
        service: str | None = None,
        worker_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """One page of jobs that match every filter given, newest first."""
        raise NotImplementedError

    async def position(self, job_id: str) -> int | None:
        """1-based among pending jobs of its service; None where it is not pending."""
        raise NotImplementedError

    async def counts(self) -> QueueCounts:
        """How many jobs are where."""
        raise NotImplementedError

    async def workers(self) -> list[WorkerInfo]:
        """Every worker that has not been forgotten yet."""
        raise NotImplementedError

    async def history(self, job_id: str, after: str = "0") -> list[Event]:
        """The events of one job (stream `progress:{id}`), oldest first, after that id."""
        raise NotImplementedError

    async def events(self, after: str, *, block_ms: int, count: int = 500) -> list[Event]:
        """Events of all jobs after that id of the stream `events`; `$` begins with the next one."""
        raise NotImplementedError

    async def last_event_id(self) -> str:
        """The newest id of `events` ("0-0" where there is none)."""
        raise NotImplementedError

    async def first_event_id(self, job_id: str | None = None) -> str:
        """The oldest id still kept of `events`, or of one job's stream: what lies before it was trimmed away."""
        raise NotImplementedError


class LeaseState(StrEnum):
    """How a lease stands after a renewal."""

    HELD = "held"
    LOST = "lost"
    CANCELLED = "cancelled"
