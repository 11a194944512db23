"""The hub's dialect of monitors: `stats_broadcast` from a snapshot, and what monitors are sent of workers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from new_stack.api.http.schemas import plain_number
from new_stack.api.legacy.hub import frame
from new_stack.api.snapshot import Snapshot
from new_stack.queue.events import ENDINGS, Event, EventKind
from new_stack.queue.jobs import Job, JobState, QueueCounts, WorkerInfo

BUSY_OR_IDLE = frozenset({"busy", "idle"})
GONE = "offline"
"""The status of a worker that left, or is silent."""

MOVES_WORKERS = ENDINGS | {
    EventKind.CLAIMED,
    EventKind.ATTEMPT_FAILED,
    EventKind.RELEASED,
    EventKind.LEASE_EXPIRED,
}
"""The events after which a worker may be busy or idle."""


Connected = Mapping[str, list[str]]
"""The names of the clients and the monitors of this process."""


def stats_broadcast(snapshot: Snapshot, connected: Connected, now: float, *, brief: bool = False) -> dict[str, Any]:
    """The message; `brief`, as right after `subscribe`, leaves out the lists of jobs and workers at work."""
    alive = [worker for worker in snapshot.workers if worker.alive]
    names = [worker.report.worker_id for worker in alive]
    followed = {job.id: job.client_id for job in snapshot.jobs if job.client_id is not None}
    return frame(
        "stats_broadcast",
        now,
        message_id=f"stats-{int(now)}",
        connections={"workers": names, **connected},
        workers={worker.report.worker_id: _worker(worker) for worker in alive},
        subscriptions={"stats": [], "job_notifications": names, "jobs": followed},
        system=_system(snapshot, alive, brief=brief),
    )


def change_key(snapshot: Snapshot, connected: Connected) -> object:
    """What differs between two snapshots where monitors have to get the new one: all but the times of heartbeats."""
    workers = [(worker.report, worker.alive) for worker in snapshot.workers]
    return (snapshot.counts, workers, [job.id for job in snapshot.jobs], connected)


def _worker(worker: WorkerInfo) -> dict[str, Any]:
    return {
        "status": worker.report.status,
        "connection_status": worker.report.status,
        "is_accepting_jobs": worker.report.status in BUSY_OR_IDLE,
        "capabilities": {"version": worker.report.version or "1.0.0", "cpu": None, "memory": None}
        | _capabilities(worker),
        "supported_job_types": job_types(worker),
    }


def _capabilities(worker: WorkerInfo) -> dict[str, Any]:
    return {"supported_job_types": job_types(worker), **worker.report.capabilities}


def job_types(worker: WorkerInfo) -> list[str]:
    """The services of a worker; of one that serves any, the names of its connectors: pages make a menu of them."""
    return list(worker.report.services or worker.report.connectors)


def _system(snapshot: Snapshot, alive: list[WorkerInfo], *, brief: bool) -> dict[str, Any]:
    counts = snapshot.counts
    by_state = {state.value: count for state in JobState if (count := getattr(counts, state))}
    jobs: dict[str, Any] = {"total": total(counts), "status": by_state}
    workers: dict[str, Any] = {"total": len(alive), "status": Counter(worker.report.status for worker in alive)}
    if not brief:
        jobs["active_jobs"] = [_active_job(job) for job in snapshot.jobs]
        workers["active_workers"] = [_active_worker(worker) for worker in alive]
    queues = {"priority": counts.urgent, "standard": counts.pending - counts.urgent, "total": counts.pending}
    return {"queues": queues, "jobs": jobs, "workers": workers}


def total(counts: QueueCounts) -> int:
    """All jobs that are still known."""
    return sum(getattr(counts, state) for state in JobState)


def _active_job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "job_type": job.service_required,
        "status": job.state,
        "priority": job.priority,
        "worker_id": job.worker_id,
        "client_id": job.client_id,
        "progress": plain_number(job.progress),
        "created_at": job.created_at / 1000,
        "updated_at": (job.ended_at or job.claimed_at or 0) / 1000,
    }


def _active_worker(worker: WorkerInfo) -> dict[str, Any]:
    return {
        "id": worker.report.worker_id,
        "status": worker.report.status,
        "connected_at": worker.registered_at / 1000,
        "jobs_processed": worker.report.jobs_processed,
        "last_heartbeat": worker.seen_at / 1000,
        "current_job_id": worker.report.running[0] if worker.report.running else "",
    } | ({"capabilities": _capabilities(worker)} if worker.report.capabilities else {})


def ack(message: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The message that follows a broadcast."""
    answered = {"original_id": message.get("message_id", "unknown"), "original_type": message["type"]}
    return frame("ack", now, message_id=f"ack-{int(now)}", **answered)


def worker_status(worker_id: str, status: str, now: float) -> dict[str, Any]:
    """A worker's new status."""
    message_id = f"worker-status-{int(now)}"
    return frame("worker_status", now, message_id=message_id, worker_id=worker_id, status=status)


def service_request(event: Event) -> dict[str, Any]:
    """What a worker asks of its back end: `service`, `request_type` and `content`."""
    about = frame("service_request", event.at / 1000, job_id=event.job_id, worker_id=event.worker_id)
    return about | (event.details or {})


StatusChange = tuple[str, str, str]
"""A worker, its status before and now."""


class WorkerStatuses:
    """The status of each living worker: busy and idle by the events of jobs, at once; all else by its reports."""

    def __init__(self) -> None:
        self._running: dict[str, set[str]] = {}
        """The jobs of the workers that events have named."""
        self._shown: dict[str, str] = {}

    def reset(self, snapshot: Snapshot) -> None:
        """Start from a snapshot."""
        self._running = {}
        for job in snapshot.jobs:
            if job.state is JobState.CLAIMED:
                self._running.setdefault(job.worker_id or "", set()).add(job.id)
        self._shown = {}
        self.update(snapshot)

    def apply(self, event: Event) -> StatusChange | None:
        """An event of a job: the worker whose status it changed, the status before and now; None where it did not."""
        if event.kind not in MOVES_WORKERS:
            return None
        if event.kind is EventKind.CLAIMED:
            worker_id = event.worker_id or ""
            self._running.setdefault(worker_id, set()).add(event.job_id)
            return self._show(worker_id, "busy")
        worker_id = next((name for name, jobs in self._running.items() if event.job_id in jobs), event.worker_id or "")
        running = self._running.setdefault(worker_id, set())
        running.discard(event.job_id)
        return None if running else self._show(worker_id, "idle")

    def update(self, snapshot: Snapshot) -> dict[str, str]:
        """Take over a snapshot; the workers that came, went or changed, and their new status."""
        alive = {worker.report.worker_id: worker for worker in snapshot.workers if worker.alive}
        now = {name: self._status(worker) for name, worker in alive.items()}
        before, self._shown = self._shown, now
        self._running = {name: jobs for name, jobs in self._running.items() if name in alive}
        gone = dict.fromkeys(before.keys() - now.keys(), GONE)
        return gone | {name: status for name, status in now.items() if before.get(name) != status}

    def _status(self, worker: WorkerInfo) -> str:
        running = self._running.get(worker.report.worker_id)
        if running is None or worker.report.status not in BUSY_OR_IDLE:
            return worker.report.status
        return "busy" if running else "idle"

    def _show(self, worker_id: str, status: str) -> StatusChange | None:
        before = self._shown.get(worker_id)
        if before not in BUSY_OR_IDLE or before == status:
            return None
        self._shown[worker_id] = status
        return worker_id, before or "", status
