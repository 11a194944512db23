"""What a job is: its states, and the types of the queue's public interface."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import msgspec

from new_stack.queue.events import EventKind
from new_stack.queue.retry_policy import RetryPolicy
from new_stack.queue.unmet import Unmet

PRIORITY_LIMIT: Final = 2**53
"""Priorities run from -PRIORITY_LIMIT to PRIORITY_LIMIT: the whole numbers that Redis and JSON keep exactly."""

ALL_SERVICES: Final = ("*",)
"""What a worker serves that takes any job."""


class JobState(StrEnum):
    """Where a job is; the legacy protocol's status words are the same ones."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the job unless somebody retries it by hand."""
        return self not in {JobState.PENDING, JobState.CLAIMED}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a submitter says of a job. `payload` is the raw JSON text of a JSON object, kept as it came."""

    payload: msgspec.Raw = msgspec.Raw(b"{}")
    service_required: str = "unknown"
    priority: int = 0
    client_id: str | None = None
    extra: msgspec.Raw | None = None
    """Fields of the submitter's own, a JSON object: kept, shown and given to the connector."""
    not_before: int | None = None
    """It runs no sooner, in ms since the epoch."""


class NewJob(Description, frozen=True, kw_only=True, omit_defaults=True):
    """A job to be submitted; what is absent is as the queue has it."""

    id: str | None = None
    max_retries: int | None = None
    retry_policy: RetryPolicy | None = None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector had to say while it ran a job; `at` is ms since the epoch."""

    at: int
    level: str
    message: str


class Job(Description, frozen=True, kw_only=True):
    """A job as it stands in Redis. Times are ms since the epoch by Redis's clock; absent is None."""

    id: str
    state: JobState
    max_retries: int
    attempt: int = 0
    """The fencing token: the number of the newest claim; 0 before the first."""
    failures: int = 0
    """Failed attempts that count against `max_retries`."""
    worker_id: str | None = None
    progress: float | None = None
    status_message: str | None = None
    result: msgspec.Raw | None = None
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None
    logs: tuple[LogLine, ...] = ()
    """The last lines of its log."""
    cancel_reason: str | None = None
    created_at: int
    claimed_at: int | None = None
    ended_at: int | None = None
    retry_policy: dict[str, Any] | None = None
    """Its own `RetryPolicy`, as it was submitted."""
    deadline_at: int | None = None
    """When it has to be done, or fails."""
    group: str | None = None
    """Where the job asks for more than its service: the signature of what it asks for (docs/routing.md)."""
    position: int = 0
    """1-based among the ready jobs that ask for the same; 0 where it is not ready, or where nobody asked."""
    unserved_since: int | None = None
    """Since when no live worker serves the job; None where one does, or where nobody asked."""
    paused_since: int | None = None
    """Since when its service is paused while the job waits; None where it is not, or where nobody asked."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a submit. `created` is false where the same job was there already (an idempotent repeat)."""

    job_id: str
    state: JobState
    created: bool
    position: int
    """1-based, among pending jobs of the same service; 0 where the job is no longer pending."""
    job: Job | None = None
    """The job as it stands; None on a repeat whose record is too large to travel with the answer."""


class Lease(msgspec.Struct, frozen=True):
    """One worker's hold on one job until `expires_at` (ms since the epoch), renewed while it works.

    Its fields stand in the order in which a claim says them.
    """

    job_id: str
    attempt: int
    service_required: str
    priority: int
    max_retries: int
    failures: int
    expires_at: int
    worker_id: str
    alone: bool = False
    """The job has lost several workers: run it with nothing beside it, so that it takes nothing else along."""
    client_id: str | None = None
    timeout_ms: int | None = None
    """How long this attempt may take, where the job itself says so."""
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    extra: msgspec.Raw | None = None


class Claimant(msgspec.Struct, frozen=True, kw_only=True):
    """Who claims: a worker, the services that it serves (`ALL_SERVICES`, or names), and what it offers."""

    worker_id: str
    services: tuple[str, ...] = ALL_SERVICES
    offers: str = ""
    """Its capabilities as `matching.offered` writes them; empty where matching is off."""

    @property
    def row(self) -> tuple[str, str, str]:
        """As the functions take it: its id; the name of all that serve and offer the same; its services, and after an
        empty line what it offers.
        """
        services = "*" if "*" in self.services else "\n".join(sorted(self.services))
        text = f"{services}\n\n{self.offers}" if self.offers else services
        return (self.worker_id, text if text == "*" else blake2b(text.encode(), digest_size=8).hexdigest(), text)


class ProgressUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What a running job's followers are told: how far it is, a line of its log, or (monitors alone) what its worker
    asks of a back end."""

    kind: EventKind = EventKind.PROGRESS
    progress: float = 0
    """In percent, -1 where it cannot tell (PROTOCOL.md)."""
    status: str = "processing"
    """Of a log line: its level."""
    message: str | None = None
    details: dict[str, Any] | None = None
    number: int = 0
    """Its place, from 1, among all that the attempt says: said again, since its answer got lost, it is told once."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A job done: `result` is raw JSON."""

    lease: Lease
    result: msgspec.Raw = msgspec.Raw(b"null")


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed; `retryable` false ends the job at once."""

    lease: Lease
    error: str
    retryable: bool = True
    error_type: str = ""
    traceback: str = ""


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """A job handed back unfinished (shutdown): it returns to its old place and nothing is counted."""

    lease: Lease


End = Completed | Failed | Released


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker reports of itself with each heartbeat."""

    worker_id: str
    status: str = "idle"
    concurrency: int = 1
    running: tuple[str, ...] = ()
    connectors: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    capabilities: dict[str, Any] = {}
    """What else it tells: `hardware`, `models`, whatever its operator and its connectors state."""
    jobs_processed: int = 0
    """Jobs that it completed since it started."""
    version: str = ""
    host: str = ""
    pid: int = 0


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as the queue knows it; `alive` is false once its heartbeat has run out."""

    report: WorkerReport
    alive: bool
    registered_at: int
    seen_at: int
    draining_since: int | None = None
    """Since when it is to take no more jobs; None where it may."""


class QueueCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs are in each state, and how many of the pending ones for each service.

    `delayed` of the pending ones wait for their back-off to end; `by_service` does not count those.
    """

    pending: int
    claimed: int
    completed: int
    failed: int
    cancelled: int
    delayed: int
    by_service: dict[str, int]
    urgent: int = 0
    """Ready ones with a priority above 0."""
    unserved: dict[str, int] = {}
    """Services that no live worker serves though jobs wait for them, with the ms since when."""
    unmet: dict[str, Unmet] = {}
    """Services that live workers do serve, and what waits for them that none of those can do."""
    paused: dict[str, int] = {}
    """Services whose jobs nobody may claim for now, with the ms since when."""


class LeaseState(StrEnum):
    """How a lease stands after a renewal."""

    HELD = "held"
    LOST = "lost"
    CANCELLED = "cancelled"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first; `cursor` is None on the last one."""

    jobs: tuple[Job, ...]
    cursor: str | None
    looked_at: int = 0
    """How many jobs were looked at for it."""
