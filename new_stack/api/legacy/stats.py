"""The hub's `stats_broadcast`, made from a snapshot of the queue: pure."""

from __future__ import annotations

from typing import Any

import msgspec

from new_stack.api.snapshot import Snapshot
from new_stack.queue.jobs import Job, QueueCounts, WorkerInfo


class Connected(msgspec.Struct, frozen=True):
    """Who is connected to this process."""

    clients: tuple[str, ...]
    monitors: tuple[str, ...]


def stats_broadcast(snapshot: Snapshot, connected: Connected, now: float, *, brief: bool = False) -> dict[str, Any]:
    """The message; `brief`, as right after `subscribe`, leaves out the lists of jobs and workers at work."""
    alive = [worker for worker in snapshot.workers if worker.alive]
    return {
        "type": "stats_broadcast",
        "timestamp": now,
        "message_id": f"stats-{int(now)}",
        "connections": {
            "clients": list(connected.clients),
            "workers": [worker.report.worker_id for worker in alive],
            "monitors": list(connected.monitors),
        },
        "workers": {worker.report.worker_id: _worker(worker) for worker in alive},
        "subscriptions": {
            "stats": [],
            "job_notifications": [worker.report.worker_id for worker in alive],
            "jobs": {job.id: job.client_id for job in snapshot.active if job.client_id is not None},
        },
        "system": _system(snapshot, alive, brief=brief),
    }


def essence(snapshot: Snapshot, connected: Connected) -> object:
    """What has to differ between two snapshots for monitors to be told at once: all but the times of heartbeats."""
    workers = [(worker.report, worker.alive) for worker in snapshot.workers]
    return (snapshot.counts, workers, [job.id for job in snapshot.active], connected)


def worker_state(worker: WorkerInfo) -> str:
    """A worker's status word."""
    return worker.report.status if worker.alive else "offline"


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
    states: dict[str, int] = {}
    for worker in alive:
        states[worker.report.status] = states.get(worker.report.status, 0) + 1
    jobs: dict[str, Any] = {"total": total(counts), "status": by_state(counts)}
    workers: dict[str, Any] = {"total": len(alive), "status": states}
    if not brief:
        jobs["active_jobs"] = [_active_job(job) for job in snapshot.active]
        workers["active_workers"] = [_active_worker(worker) for worker in alive]
    queues = {"priority": counts.pending, "standard": 0, "total": counts.pending}
    return {"queues": queues, "jobs": jobs, "workers": workers}


def total(counts: QueueCounts) -> int:
    """All jobs that are still known."""
    return counts.pending + counts.claimed + counts.completed + counts.failed + counts.cancelled


def by_state(counts: QueueCounts) -> dict[str, int]:
    """The states that have any jobs, as the hub lists them."""
    states = {
        "pending": counts.pending,
        "claimed": counts.claimed,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    }
    return {state: count for state, count in states.items() if count}


def _active_job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "job_type": job.service_required,
        "status": job.state.value,
        "priority": job.priority,
        "worker_id": job.worker_id,
        "client_id": job.client_id,
        "progress": job.progress,
        "created_at": job.created_at / 1000,
    }


def _active_worker(worker: WorkerInfo) -> dict[str, Any]:
    return {
        "id": worker.report.worker_id,
        "status": worker.report.status,
        "connected_at": worker.registered_at / 1000,
        "jobs_processed": None,
        "last_heartbeat": worker.seen_at / 1000,
        "current_job_id": worker.report.running[0] if worker.report.running else "",
    }
