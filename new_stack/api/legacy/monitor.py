"""The hub's dialect of monitors: `stats_broadcast` from a snapshot, and what monitors are sent of workers. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from new_stack.api.http.schemas import job_document
from new_stack.api.legacy.hub import Ack, WorkerStatus
from new_stack.api.services import Services
from new_stack.api.snapshot import Snapshot
from new_stack.queue.jobs import Job, JobState, QueueCounts, WorkerInfo

ACTIVE_JOB_FIELDS = ("id", "job_type", "status", "priority", "worker_id", "client_id", "progress", "created_at")


class Connected(msgspec.Struct, frozen=True):
    """Who is connected to this process."""

    clients: tuple[str, ...]
    monitors: tuple[str, ...]


def connected(services: Services) -> Connected:
    """Who is connected to this process, as the stats show it."""
    names = services.connections.names
    return Connected(tuple(names("client")), tuple(names("monitor")))


def stats_broadcast(snapshot: Snapshot, connected: Connected, now: float, *, brief: bool = False) -> dict[str, Any]:
    """The message; `brief`, as right after `subscribe`, leaves out the lists of jobs and workers at work."""
    alive = [worker for worker in snapshot.workers if worker.alive]
    names = [worker.report.worker_id for worker in alive]
    return {
        "type": "stats_broadcast",
        "timestamp": now,
        "message_id": f"stats-{int(now)}",
        "connections": {
            "clients": list(connected.clients),
            "workers": names,
            "monitors": list(connected.monitors),
        },
        "workers": {worker.report.worker_id: _worker(worker) for worker in alive},
        "subscriptions": {
            "stats": [],
            "job_notifications": names,
            "jobs": {job.id: job.client_id for job in snapshot.active if job.client_id is not None},
        },
        "system": _system(snapshot, alive, brief=brief),
    }


def change_key(snapshot: Snapshot, connected: Connected) -> object:
    """What differs between two snapshots where monitors have to get the new one: all but the times of heartbeats."""
    workers = [(worker.report, worker.alive) for worker in snapshot.workers]
    return (snapshot.counts, workers, [job.id for job in snapshot.active], connected)


def _worker(worker: WorkerInfo) -> dict[str, Any]:
    free = len(worker.report.running) < worker.report.concurrency
    return {
        "status": worker.report.status,
        "connection_status": worker.report.status,
        "is_accepting_jobs": free,
        "supported_job_types": list(worker.report.services),
    }


def _system(snapshot: Snapshot, alive: list[WorkerInfo], *, brief: bool) -> dict[str, Any]:
    counts = snapshot.counts
    by_state = {state.value: count for state in JobState if (count := getattr(counts, state))}
    jobs: dict[str, Any] = {"total": total(counts), "status": by_state}
    workers: dict[str, Any] = {"total": len(alive), "status": Counter(worker.report.status for worker in alive)}
    if not brief:
        jobs["active_jobs"] = [_active_job(job) for job in snapshot.active]
        workers["active_workers"] = [_active_worker(worker) for worker in alive]
    queues = {"priority": counts.pending, "standard": 0, "total": counts.pending}
    return {"queues": queues, "jobs": jobs, "workers": workers}


def total(counts: QueueCounts) -> int:
    """All jobs that are still known."""
    return sum(getattr(counts, state) for state in JobState)


def _active_job(job: Job) -> dict[str, Any]:
    document = job_document(job, lambda ms: ms / 1000)
    return {name: document[name] for name in ACTIVE_JOB_FIELDS}


def _active_worker(worker: WorkerInfo) -> dict[str, Any]:
    return {
        "id": worker.report.worker_id,
        "status": worker.report.status,
        "connected_at": worker.registered_at / 1000,
        "jobs_processed": None,
        "last_heartbeat": worker.seen_at / 1000,
        "current_job_id": worker.report.running[0] if worker.report.running else "",
    }


def ack(original_id: str, original_type: str, now: float) -> Ack:
    """The message that follows a broadcast."""
    return Ack(timestamp=now, message_id=f"ack-{int(now)}", original_id=original_id, original_type=original_type)


def worker_status(worker_id: str, status: str, now: float) -> WorkerStatus:
    """A worker's new status."""
    return WorkerStatus(timestamp=now, message_id=f"worker-status-{int(now)}", worker_id=worker_id, status=status)


def status_changes(before: dict[str, str], workers: tuple[WorkerInfo, ...]) -> dict[str, str]:
    """Known workers whose status word changed since."""
    now = {worker.report.worker_id: worker.report.status for worker in workers if worker.alive}
    return {name: status for name, status in now.items() if name in before and before[name] != status}
