"""What monitors are shown of the whole hub."""

from __future__ import annotations

from typing import Any

from legacy_hub_sim.core import messages, subscriptions
from legacy_hub_sim.core.offers import capabilities_of
from legacy_hub_sim.core.peers import Role
from legacy_hub_sim.core.store import StoreError
from legacy_hub_sim.core.turn import Turn


def send_status(turn: Turn, *, detailed: bool = True) -> None:
    """A `stats_broadcast` with the workers' capabilities; raises `Leak` where a worker's do not fit.

    The one that follows a monitor's `subscribe` is not detailed: it asks the store nothing.
    """
    if not turn.memory.connections[Role.MONITOR]:
        return
    workers = {}
    for worker in turn.memory.status:
        capabilities = capabilities_of(turn, worker)
        workers[worker] = {
            **shown_worker(turn, worker),
            "capabilities": capabilities,
            "supported_job_types": capabilities["supported_job_types"],
        }
    system = system_stats(turn) if detailed else empty_stats()
    system["workers"]["total"] = len(turn.memory.connections[Role.WORKER])
    turn.broadcast(stats_broadcast(turn, workers, system))


def send_change(turn: Turn, system: dict[str, Any]) -> None:
    """The `stats_broadcast` of a change in the jobs or the workers' records; it leaves capabilities out."""
    turn.broadcast(stats_broadcast(turn, {worker: shown_worker(turn, worker) for worker in turn.memory.status}, system))


def stats_broadcast(turn: Turn, workers: dict[str, Any], system: dict[str, Any]) -> messages.Message:
    """The message itself."""
    return messages.stamped(
        "stats_broadcast",
        turn.now,
        message_id=f"stats-{int(turn.now)}",
        connections={f"{role}s": list(turn.memory.connections[role]) for role in Role},
        workers=workers,
        subscriptions={
            "stats": list(turn.memory.stats_subscribers),
            "job_notifications": list(turn.memory.told_of_jobs),
            "jobs": subscriptions.shown(turn),
        },
        system=system,
    )


def shown_worker(turn: Turn, worker: str) -> dict[str, Any]:
    """A worker's state as every `stats_broadcast` shows it."""
    status = turn.memory.status[worker]
    return {"status": status, "connection_status": status, "is_accepting_jobs": turn.memory.accepts_jobs(worker)}


def empty_stats() -> dict[str, Any]:
    """The `system` part when the store was not asked."""
    return {
        "queues": {"priority": 0, "standard": 0, "total": 0},
        "jobs": {"total": 0, "status": {}},
        "workers": {"total": 0, "status": {}},
    }


def system_stats(turn: Turn) -> dict[str, Any]:
    """The `system` part: the queue, every job, every worker that ever registered.

    A job with an odd priority ends the count where it stands, as does a store that does not answer, and the workers
    are left out.
    """
    stats = empty_stats()
    active_jobs: list[dict[str, Any]] = []
    stats["jobs"]["active_jobs"] = active_jobs
    active_workers: list[dict[str, Any]] = []
    stats["workers"]["active_workers"] = active_workers
    try:
        stats["queues"]["priority"] = stats["queues"]["total"] = turn.jobs.store.queued()
        records = list(turn.jobs.store.every())
    except StoreError:
        return stats
    stats["jobs"]["total"] = len(records)
    for job_id, fields in records:
        status = fields.get("status", "unknown")
        stats["jobs"]["status"][status] = stats["jobs"]["status"].get(status, 0) + 1
        if status in ("pending", "active", "failed"):
            try:
                active_jobs.append(shown_job(job_id, fields))
            except ValueError:
                return stats
    workers = stats["workers"]
    workers["total"] = len(turn.memory.kept.records)
    for worker, record in turn.memory.kept.records.items():
        workers["status"][record.status] = workers["status"].get(record.status, 0) + 1
        active_workers.append(
            {
                "id": worker,
                "status": record.status,
                "connected_at": record.registered_at,
                "jobs_processed": record.jobs_processed,
                "last_heartbeat": record.last_heartbeat,
                "current_job_id": record.current_job_id,
            }
        )
    return stats


def shown_job(job_id: str, fields: dict[str, str]) -> dict[str, Any]:
    """A job that waits or failed, as monitors are shown it; raises ValueError on an odd priority."""
    return {
        "id": job_id,
        "job_type": fields.get("job_type", ""),
        "status": fields["status"],
        "priority": int(fields.get("priority", 0)),
        "worker_id": fields.get("worker"),
        "created_at": float(fields.get("created_at", 0)),
        "updated_at": float(fields.get("updated_at", 0)),
        "progress": int(fields["progress"]) if "progress" in fields else None,
    }
