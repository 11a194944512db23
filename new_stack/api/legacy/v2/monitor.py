"""The later dialect of monitors: topics and filters, a full state, events with times in ms, and resync."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from new_stack.api.http.schemas import plain_number
from new_stack.api.legacy.messages import Fields, Refusal, spelled, value
from new_stack.api.legacy.monitor import GONE, job_types, total
from new_stack.api.legacy.v2.universal import job_document
from new_stack.api.snapshot import Snapshot
from new_stack.queue.events import Event, EventKind
from new_stack.queue.jobs import Job, QueueCounts, WorkerInfo

V2_ONLY: Final = frozenset({"monitor_connect", "heartbeat", "resync_request"})
"""Messages that only this dialect knows; a `subscribe` with `topics` tells it as well."""

TOPICS: Final = ("workers", "jobs", "jobs:progress", "jobs:status", "system_stats", "heartbeat")
RESYNC_LIMIT: Final = 1_000

STATUS_EVENTS: Final[Mapping[EventKind, tuple[str, str]]] = {
    EventKind.ATTEMPT_FAILED: ("claimed", "pending"),
    EventKind.RELEASED: ("claimed", "pending"),
    EventKind.LEASE_EXPIRED: ("claimed", "pending"),
    EventKind.RETRIED: ("failed", "pending"),
    EventKind.CANCELLED: ("active", "cancelled"),
}
"""Events that are sent as `job_status_changed`, with the status before and after."""


class Interest(msgspec.Struct, frozen=True):
    """What a monitor wants to hear of: topics, and filters that each have to hold."""

    topics: frozenset[str] = frozenset()
    job_types: frozenset[str] = frozenset()
    worker_ids: frozenset[str] = frozenset()
    priority_range: tuple[float, float] | None = None

    def wants_event(self, event: Event) -> bool:
        """Whether this event is sent."""
        if event.kind is EventKind.LOG:
            return False  # its pages do not know them
        topic = "jobs:progress" if event.kind is EventKind.PROGRESS else "jobs:status"
        if "jobs" not in self.topics and topic not in self.topics:
            return False
        if self.job_types and event.service_required not in self.job_types:
            return False
        if self.worker_ids and event.worker_id is not None and event.worker_id not in self.worker_ids:
            return False
        low, high = self.priority_range or (float("-inf"), float("inf"))
        return low <= event.priority <= high

    def wants_worker(self, worker_id: str) -> bool:
        """Whether changes of this worker are sent."""
        return "workers" in self.topics and (not self.worker_ids or worker_id in self.worker_ids)


def is_v2_message(fields: Fields) -> bool:
    """Whether this message can only come from a monitor of this dialect."""
    kind = value(fields, "type")
    return isinstance(kind, str) and (kind in V2_ONLY or (kind == "subscribe" and "topics" in fields))


def read_interest(fields: Fields) -> Interest:
    """The interest in a `subscribe`. Raises Refusal for a topic or filter that does not exist."""
    topics = _words(value(fields, "topics", []), "topics")
    unknown = [topic for topic in topics if topic not in TOPICS]
    if unknown:
        raise Refusal(f"Unknown topic {spelled(unknown[0])}: there are {', '.join(TOPICS)}")
    filters = value(fields, "filters") or {}
    if not isinstance(filters, dict):
        raise Refusal("filters must be an object")
    return Interest(
        topics=frozenset(topics),
        job_types=frozenset(_words(filters.get("job_types") or [], "job_types")),
        worker_ids=frozenset(_words(filters.get("worker_ids") or [], "worker_ids")),
        priority_range=_range(filters.get("priority_range")),
    )


def _words(found: Any, name: str) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise Refusal(f"{name} must be a list of texts")
    return found


def _range(found: Any) -> tuple[float, float] | None:
    if found is None:
        return None
    match found:
        case [int() | float() as low, int() | float() as high]:
            return (low, high)
    raise Refusal("priority_range must be [low, high]")


def number(fields: Fields, name: str, default: int) -> int:
    """A field that has to be a number not below 0. Raises Refusal."""
    found = value(fields, name, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or found < 0:
        raise Refusal(f"{name} must be a number, not {spelled(found)}")
    return int(found)


ENDS: Final[Mapping[EventKind, tuple[str, str, str]]] = {
    EventKind.COMPLETED: ("job_completed", "result", "completed_at"),
    EventKind.FAILED: ("job_failed", "error", "failed_at"),
}
"""The two ends that have messages of their own: the type, the field that says how, and the field of the time."""


def event_message(event: Event, job: Job | None = None) -> dict[str, Any]:
    """An event as this dialect writes it; `job`, where it is known, lends a submission its payload."""
    kind = "job_status_changed"
    about: dict[str, Any] = {"worker_id": event.worker_id}
    if event.kind is EventKind.SUBMITTED:
        kind, about = "job_submitted", {"job_data": _submitted(event, job)}
    elif event.kind is EventKind.CLAIMED:
        kind = "job_assigned"
        about |= {"old_status": "pending", "new_status": "assigned", "assigned_at": event.at}
    elif event.kind is EventKind.PROGRESS:
        kind = "job_progress"
        about |= {"progress": plain_number(event.progress), "status": event.status, "message": event.message}
    elif event.kind is EventKind.SERVICE_REQUEST:
        kind, about = "service_request", about | (event.details or {})
    elif event.kind is EventKind.STATE:
        about |= {"old_status": event.status, "new_status": event.status, "reason": "synchronized"}
    elif event.kind in ENDS:
        kind, how, when = ENDS[event.kind]
        about |= {how: getattr(event, how), when: event.at}
    else:
        old, new = STATUS_EVENTS[event.kind]
        reason = event.error or event.message or event.kind.value
        about |= {"old_status": old, "new_status": new, "reason": reason}
    return {"type": kind, "timestamp": event.at, "job_id": event.job_id} | about


def _submitted(event: Event, job: Job | None) -> dict[str, Any]:
    if job is not None:
        return job_in_list(job) | {"status": "pending"}
    return {
        "id": event.job_id,
        "job_type": event.service_required,
        "status": "pending",
        "priority": event.priority,
        "created_at": event.at,
        "client_id": event.client_id,
    }


def job_in_list(job: Job) -> dict[str, Any]:
    """A job as this dialect shows it, times in ms, without its result: a snapshot holds hundreds of them."""
    document = job_document(job, int)
    del document["result"]
    return document


def worker_document(worker: WorkerInfo) -> dict[str, Any]:
    """A worker as this dialect shows it."""
    report = worker.report
    return {
        "id": report.worker_id,
        "status": report.status if worker.alive else GONE,
        "current_job_id": report.running[0] if report.running else None,
        "current_jobs": list(report.running),
        "capabilities": {
            "services": job_types(worker),
            "job_types": job_types(worker),
            "concurrency": report.concurrency,
            **report.capabilities,
        },
        "connectors": list(report.connectors),
        "connected_at": worker.registered_at,
        "last_heartbeat": worker.seen_at,
    }


def system_stats(counts: QueueCounts, workers: Iterable[WorkerInfo]) -> dict[str, int]:
    """The figures of the whole system."""
    alive = [worker for worker in workers if worker.alive]
    return {
        "total_workers": len(alive),
        "active_workers": sum(1 for worker in alive if worker.report.running),
        "total_jobs": total(counts),
        "pending_jobs": counts.pending,
        "active_jobs": counts.claimed,
        "completed_jobs": counts.completed,
        "failed_jobs": counts.failed,
    }


def full_state(snapshot: Snapshot, jobs: Mapping[str, Iterable[Job]], now_ms: int) -> dict[str, Any]:
    """The snapshot that a monitor may ask for as it connects; `jobs` by pending, active, completed, failed."""
    return {
        "type": "full_state_snapshot",
        "timestamp": now_ms,
        "data": {
            "workers": {worker.report.worker_id: worker_document(worker) for worker in snapshot.workers},
            "jobs": {name: [job_in_list(job) for job in found] for name, found in jobs.items()},
            "system_stats": system_stats(snapshot.counts, snapshot.workers),
        },
    }


def connected(connection_id: str, now_ms: int) -> dict[str, Any]:
    """The data of the greeting."""
    return {
        "status": "connected",
        "connection_id": connection_id,
        "connection_type": "monitor",
        "server_time": now_ms,
    }


def worker_status_changed(worker_id: str, old: str, new: str, event: Event, now_ms: int) -> dict[str, Any]:
    """The change of a worker's status that an event of a job brought about."""
    return {
        "type": "worker_status_changed",
        "timestamp": now_ms,
        "worker_id": worker_id,
        "old_status": old,
        "new_status": new,
        "current_job_id": event.job_id if new == "busy" else None,
    }


def worker_messages(
    before: Mapping[str, WorkerInfo], after: Mapping[str, WorkerInfo], changed: Mapping[str, str], now_ms: int
) -> list[tuple[str, dict[str, Any]]]:
    """What changed among the living workers, as (worker id, message); `changed` has the new status of some."""
    messages: list[tuple[str, dict[str, Any]]] = []
    for name, worker in after.items():
        known = before.get(name)
        if known is None:
            messages.append((name, {"type": "worker_connected", "worker_data": worker_document(worker)}))
        elif name in changed:
            running = worker.report.running
            change = {
                "old_status": known.report.status,
                "new_status": changed[name],
                "current_job_id": running[0] if running else None,
            }
            messages.append((name, {"type": "worker_status_changed"} | change))
    messages += [(name, {"type": "worker_disconnected"}) for name in before if name not in after]
    return [(name, message | {"worker_id": name, "timestamp": now_ms}) for name, message in messages]
