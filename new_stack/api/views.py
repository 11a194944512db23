"""The shapes of the modern HTTP API: what comes in, what goes out. The OpenAPI document is made from these types."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from new_stack.api.problems import Problem
from new_stack.queue.events import Event
from new_stack.queue.jobs import PRIORITY_LIMIT, Job, JobState, NewJob, QueueCounts, WorkerInfo

Priority = Annotated[int, Meta(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT)]
Retries = Annotated[int, Meta(ge=0, le=1_000)]
JobId = Annotated[str, Meta(min_length=1, max_length=256)]
Service = Annotated[str, Meta(min_length=1, max_length=256)]


class JobRequest(msgspec.Struct, kw_only=True):
    """A job as a modern client submits it. `job_type` is the legacy word for `service_required`."""

    service_required: Service | UnsetType = UNSET
    job_type: Service | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET
    priority: Priority = 0
    id: JobId | None = None
    client_id: Annotated[str, Meta(max_length=256)] | None = None
    max_retries: Retries | None = None

    def new_job(self) -> NewJob:
        """As the queue takes it."""
        assert isinstance(self.service_required, str)  # noqa: S101 - the route has seen to it
        return NewJob(
            payload=Raw(b"{}") if isinstance(self.payload, UnsetType) else self.payload,
            service_required=self.service_required,
            priority=self.priority,
            id=self.id,
            client_id=self.client_id,
            max_retries=self.max_retries,
        )


class CancelRequest(msgspec.Struct, kw_only=True):
    """Why a job is cancelled."""

    reason: Annotated[str, Meta(max_length=1_000)] = "Manually cancelled"


class JobView(msgspec.Struct, kw_only=True):
    """A job's status: the hub's fields exactly as it writes them, and ours beside them."""

    job_id: str
    status: JobState
    job_type: str
    client_id: str | None
    worker_id: str | None
    created_at: str
    claimed_at: str | None
    completed_at: str | None
    position: int | None
    display_position: int | None
    progress: float | None
    result: Raw | None
    error: str | None
    position_description: str | None
    payload: Raw
    failures: int | None
    service_required: str
    priority: int
    attempt: int
    max_retries: int
    created_at_ms: int
    claimed_at_ms: int | None
    ended_at_ms: int | None
    status_message: str | None
    cancel_reason: str | None


class JobsView(msgspec.Struct, kw_only=True):
    """A page of jobs, newest first; `cursor` asks for the next one and is null on the last."""

    jobs: list[JobView]
    cursor: str | None


class Submitted(msgspec.Struct, kw_only=True):
    """A job accepted in a batch."""

    job_id: str
    status: JobState
    created: bool
    position: int | None


class BatchItem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one job of a batch: the `job`, or the `problem`, with the status that it alone would have had."""

    status: int
    job: Submitted | None = None
    problem: Problem | None = None


class EventView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An event of a job's life, as SSE data; what is absent is omitted."""

    job_id: str
    kind: str
    at: int
    service_required: str
    job_type: str
    priority: int
    attempt: int
    worker_id: str | None = None
    client_id: str | None = None
    progress: float | None = None
    status: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None
    result: Raw | None = None
    error: str | None = None


class WorkerView(msgspec.Struct, kw_only=True):
    """A worker as it last reported."""

    worker_id: str
    alive: bool
    status: str
    concurrency: int
    running: list[str]
    connectors: list[str]
    services: list[str]
    version: str
    host: str
    pid: int
    registered_at: int
    seen_at: int


class WorkersView(msgspec.Struct, kw_only=True):
    """Every worker that has not been forgotten yet."""

    workers: list[WorkerView]


class WorkerCounts(msgspec.Struct, kw_only=True):
    """How many workers there are, how many report in, and how many have work in hand."""

    total: int
    alive: int
    busy: int


class ConnectionCounts(msgspec.Struct, kw_only=True):
    """Long-lived connections of this API process."""

    sse: int
    client: int
    monitor: int


class StatsView(msgspec.Struct, kw_only=True):
    """The queue, the workers, and this process's connections."""

    queue: QueueCounts
    workers: WorkerCounts
    connections: ConnectionCounts


class HealthView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Whether the process lives, and whether it can serve."""

    status: str
    redis_ms: float | None = None


def seconds(ms: int | None) -> str | None:
    """A time as the hub writes it in REST answers: seconds since the epoch, as text."""
    return None if ms is None else str(ms / 1000)


def job_view(job: Job, position: int | None) -> JobView:
    """The status object of a job; `position` is 1-based among pending jobs of its service."""
    return JobView(
        job_id=job.id,
        status=job.state,
        job_type=job.service_required,
        client_id=job.client_id,
        worker_id=job.worker_id,
        created_at=str(job.created_at / 1000),
        claimed_at=seconds(job.claimed_at),
        completed_at=seconds(job.ended_at) if job.state is JobState.COMPLETED else None,
        position=None if position is None else position - 1,
        display_position=position,
        progress=job.progress,
        result=job.result,
        error=job.error,
        position_description=position_description(position),
        payload=job.payload,
        failures=job.failures or None,
        service_required=job.service_required,
        priority=job.priority,
        attempt=job.attempt,
        max_retries=job.max_retries,
        created_at_ms=job.created_at,
        claimed_at_ms=job.claimed_at,
        ended_at_ms=job.ended_at,
        status_message=job.status_message,
        cancel_reason=job.cancel_reason,
    )


def position_description(position: int | None) -> str | None:
    """The place in the line in words, as the hub puts it."""
    if position is None:
        return None
    ahead = position - 1
    if ahead <= 0:
        return "Next in queue"
    return "1 job ahead in queue" if ahead == 1 else f"{ahead} jobs ahead in queue"


def event_view(event: Event) -> EventView:
    """An event as SSE data."""
    return EventView(
        job_id=event.job_id,
        kind=event.kind.value,
        at=event.at,
        service_required=event.service_required,
        job_type=event.service_required,
        priority=event.priority,
        attempt=event.attempt,
        worker_id=event.worker_id,
        client_id=event.client_id,
        progress=event.progress,
        status=event.status,
        message=event.message,
        details=event.details,
        result=event.result,
        error=event.error,
    )


def worker_view(worker: WorkerInfo) -> WorkerView:
    """A worker as /api/workers shows it."""
    report = worker.report
    return WorkerView(
        worker_id=report.worker_id,
        alive=worker.alive,
        status=report.status,
        concurrency=report.concurrency,
        running=list(report.running),
        connectors=list(report.connectors),
        services=list(report.services),
        version=report.version,
        host=report.host,
        pid=report.pid,
        registered_at=worker.registered_at,
        seen_at=worker.seen_at,
    )


encode: Final = msgspec.json.Encoder().encode
