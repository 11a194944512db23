"""What monitors may send, what they are answered, and the statistics that they are sent."""

from __future__ import annotations

from typing import Any

from legacy_hub_sim.core import messages, subscriptions
from legacy_hub_sim.core.connections import Peer, Role, Style
from legacy_hub_sim.core.jobs import StoreError
from legacy_hub_sim.core.offers import capabilities_of
from legacy_hub_sim.core.step_context import StepContext
from legacy_hub_sim.core.validation import PythonError


def handle(step: StepContext, peer: Peer, message: dict[str, Any]) -> None:
    """One message of a monitor."""
    match message.get("type"):
        case "subscribe":
            subscribe(step, peer, message.get("channels", []))
        case "get_system_status":
            send_status(step)
        case "stay_alive":
            step.reply(peer, messages.stamped("stay_alive_response", step.now), Style.SPACED)
        case other:
            step.reply(peer, messages.bare_error(f"Unsupported message type: {other}"), Style.SPACED)


def subscribe(step: StepContext, peer: Peer, channels: Any) -> None:
    """`subscribe`: set the filter, confirm twice, and show every monitor the status, unless a channel is no text."""
    step.state.filters[peer.name] = as_filter(channels)
    step.reply(peer, {"type": "subscription_confirmed", "channels": channels}, Style.SPACED)
    try:
        confirmed = messages.checked(
            "subscription_confirmed", step.now, job_id="monitor-subscription", monitor_id=peer.name, channels=channels
        )
    except PythonError:
        return
    step.reply(peer, confirmed, Style.SPACED)
    send_status(step, detailed=False)


def as_filter(channels: Any) -> frozenset[Any]:
    """The channels as a set; raises `PythonError` with Python's words for what makes none."""
    try:
        return frozenset(channels)
    except TypeError as error:
        raise PythonError(str(error)) from None


def send_status(step: StepContext, *, detailed: bool = True) -> None:
    """A `stats_broadcast` with the workers' capabilities; raises `PythonError` where a worker's do not fit.

    The one that follows a monitor's `subscribe` is not detailed: it asks the store nothing.
    """
    if not step.state.connections[Role.MONITOR]:
        return
    workers = {}
    for worker in step.state.status:
        capabilities = capabilities_of(step, worker)
        workers[worker] = {
            **shown_worker(step, worker),
            "capabilities": capabilities,
            "supported_job_types": capabilities["supported_job_types"],
        }
    system = system_stats(step) if detailed else empty_stats()
    system["workers"]["total"] = len(step.state.connections[Role.WORKER])
    step.broadcast(stats_broadcast(step, workers, system))


def send_change(step: StepContext, system: dict[str, Any]) -> None:
    """The `stats_broadcast` of a change in the jobs or the workers' records; it leaves capabilities out."""
    step.broadcast(stats_broadcast(step, {worker: shown_worker(step, worker) for worker in step.state.status}, system))


def stats_broadcast(step: StepContext, workers: dict[str, Any], system: dict[str, Any]) -> messages.Message:
    """The message itself."""
    return messages.stamped(
        "stats_broadcast",
        step.now,
        message_id=f"stats-{int(step.now)}",
        connections={f"{role}s": list(step.state.connections[role]) for role in Role},
        workers=workers,
        subscriptions={
            "stats": list(step.state.stats_subscribers),
            "job_notifications": list(step.state.notified_of_jobs),
            "jobs": subscriptions.shown(step),
        },
        system=system,
    )


def shown_worker(step: StepContext, worker: str) -> dict[str, Any]:
    """A worker's state as every `stats_broadcast` shows it."""
    status = step.state.status[worker]
    return {"status": status, "connection_status": status, "is_accepting_jobs": step.state.accepts_jobs(worker)}


def empty_stats() -> dict[str, Any]:
    """The `system` part when the store was not asked."""
    return {
        "queues": {"priority": 0, "standard": 0, "total": 0},
        "jobs": {"total": 0, "status": {}},
        "workers": {"total": 0, "status": {}},
    }


def system_stats(step: StepContext) -> dict[str, Any]:
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
        stats["queues"]["priority"] = stats["queues"]["total"] = step.jobs.store.queued()
        records = list(step.jobs.store.every())
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
    workers["total"] = len(step.state.persisted.records)
    for worker, record in step.state.persisted.records.items():
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
