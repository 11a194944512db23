"""What workers may say, and what follows. Faults `deaf-cancel` and `lost-offers` show here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from legacy_hub_sim.core import messages, subscriptions
from legacy_hub_sim.core.leaks import Leak
from legacy_hub_sim.core.offers import offer_waiting
from legacy_hub_sim.core.outgoing import Style
from legacy_hub_sim.core.peers import Role
from legacy_hub_sim.core.state import WorkerRecord
from legacy_hub_sim.core.turn import Turn
from legacy_hub_sim.core.worker_shapes import parse
from legacy_hub_sim.faults import Fault

Said = dict[str, Any]


def handle(turn: Turn, worker: str, message: dict[str, Any]) -> None:
    """One message of a worker. The name that counts is the one in its path, not the one in the message."""
    said = parse(message, turn.now)
    if said is None:
        turn.error(Role.WORKER, worker, "Invalid message format")
        return
    handler = HANDLERS.get(said["type"])
    if handler is None:
        turn.error(Role.WORKER, worker, f"Unsupported message type: {said['type']}")
    else:
        handler(turn, worker, said)


def register(turn: Turn, worker: str, said: Said) -> None:
    """`register_worker`: a fresh record; capabilities are kept from before where none are given."""
    if said["capabilities"]:
        turn.memory.capabilities[worker] = said["capabilities"]
    record = WorkerRecord(registered_at=turn.now, last_heartbeat=turn.now, updated_at=turn.now)
    turn.memory.kept.records[worker] = record
    turn.memory.status[worker] = "idle"
    turn.memory.heartbeat_at[worker] = turn.now
    turn.to(Role.WORKER, worker, messages.stamped("worker_registered", turn.now, worker_id=worker, status="active"))
    if said["subscribe_to_jobs"]:
        turn.memory.told_of_jobs[worker] = None
        turn.to(Role.WORKER, worker, messages.stamped("job_notifications_subscribed", turn.now, worker_id=worker))
    if said["status"] == "idle":
        offer_waiting(turn)


def claim(turn: Turn, worker: str, said: Said) -> None:
    """`claim_job`: for an idle worker, of any pending job, whatever its type."""
    job_id = said["job_id"]
    if turn.memory.status.get(worker) != "idle":
        turn.error(Role.WORKER, worker, f"Cannot claim job {job_id}: Worker {worker} is not idle")
        return
    if not turn.jobs.claim(job_id, worker, turn.now):
        turn.error(Role.WORKER, worker, f"Failed to claim job {job_id}")
        return
    assign(turn, worker, "working", job_id)
    job = turn.jobs.status(job_id) or {}
    assigned = messages.job_assigned(
        turn.now,
        job_id=job_id,
        worker_id=worker,
        job_type=job.get("job_type", "unknown"),
        priority=job.get("priority", 0),
        params=job.get("job_request_payload", {}),
    )
    turn.to(Role.WORKER, worker, assigned)
    started = messages.job_status(turn.now, job_id=job_id, status="processing", worker_id=worker)
    subscriptions.tell_all(turn, job_id, started)
    offer_waiting(turn)


def progress(turn: Turn, _worker: str, said: Said) -> None:
    """`update_job_progress`: stored where the job is known, passed on in any case, not answered."""
    if was_cancelled(turn, said["job_id"]):
        return
    turn.jobs.progress(said["job_id"], said["progress"], said["message"], turn.now)
    subscriptions.tell_all(turn, said["job_id"], said)


def complete(turn: Turn, worker: str, said: Said) -> None:
    """`complete_job`: acknowledged always, passed on where the job is known."""
    job_id = said["job_id"]
    if not was_cancelled(turn, job_id) and turn.jobs.complete(job_id, said["result"], turn.now):
        completed = messages.stamped("complete_job", turn.now, job_id=job_id, worker_id=worker, result=said["result"])
        subscriptions.tell_all(turn, job_id, completed, Style.SPACED)
    assign(turn, worker, "idle")
    if record := turn.memory.kept.records.get(worker):
        record.jobs_processed += 1
        record.last_job_completed_at = turn.now
    turn.to(Role.WORKER, worker, messages.stamped("job_completed_ack", turn.now, job_id=job_id, worker_id=worker))
    if Fault.LOST_OFFERS not in turn.faults:
        offer_waiting(turn)


def fail(turn: Turn, worker: str, said: Said) -> None:
    """`fail_job`: never offered to this worker again, queued again, and told on every attempt."""
    job_id = said["job_id"]
    error = "Unknown error" if said["error"] is None else said["error"]
    turn.memory.kept.failed_by.setdefault(worker, set()).add(job_id)
    cancelled = was_cancelled(turn, job_id)
    try:
        queued = cancelled or turn.jobs.fail(job_id, error)
    except Leak as leak:
        turn.error(Role.WORKER, worker, f"Invalid FailJobMessage: {leak.text}")
        return
    if queued:
        failed = messages.stamped("job_failed_ack", turn.now, job_id=job_id, worker_id=worker, error=error)
        turn.to(Role.WORKER, worker, failed)
        assign(turn, worker, "idle")
        offer_waiting(turn)
    else:
        turn.error(Role.WORKER, worker, f"Failed to mark job {job_id} as failed")
    if not cancelled:
        subscriptions.tell_all(turn, job_id, said)
    offer_waiting(turn)


def was_cancelled(turn: Turn, job_id: str) -> bool:
    """Whether a hub that heeds cancellation (one without `deaf-cancel`) is past hearing of a job."""
    return Fault.DEAF_CANCEL not in turn.faults and turn.jobs.store.peek(job_id)[0] == "cancelled"


def heartbeat(turn: Turn, worker: str, said: Said) -> None:
    """`worker_heartbeat`: without a status it says idle, and a worker that says idle is offered a job."""
    turn.memory.heartbeat_at[worker] = turn.now
    if said["status"]:
        show_status(turn, worker, said["status"])
        if said["status"] == "idle":
            offer_waiting(turn)
    turn.to(Role.WORKER, worker, messages.stamped("worker_heartbeat_ack", turn.now, worker_id=worker))


def status(turn: Turn, worker: str, said: Said) -> None:
    """`worker_status`."""
    told = "idle" if said["status"] is None else said["status"]
    assign(turn, worker, told)
    show_status(turn, worker, told)
    if told == "idle":
        offer_waiting(turn)


def show_status(turn: Turn, worker: str, told: str) -> None:
    """Note a connected worker's status and show it to monitors."""
    if worker not in turn.memory.connections[Role.WORKER]:
        return
    turn.memory.status[worker] = told
    shown = messages.stamped(
        "worker_status",
        turn.now,
        message_id=f"worker-status-{int(turn.now)}",
        worker_id=worker,
        status=told,
        capabilities=None,
        connector_statuses=None,
    )
    turn.broadcast(shown)


def assign(turn: Turn, worker: str, told: str, job_id: str | None = None) -> None:
    """Note what a registered worker does; one that never registered stays as it is."""
    record = turn.memory.kept.records.get(worker)
    if record is None:
        return
    turn.memory.status[worker] = record.status = told
    record.updated_at = turn.now
    if job_id:
        turn.memory.running[worker] = record.current_job_id = job_id
    elif told == "idle":
        turn.memory.running.pop(worker, None)
        record.current_job_id = ""


def connector_status(turn: Turn, _worker: str, said: Said) -> None:
    """`connector_ws_status`: for monitors."""
    turn.to_monitors(said, Style.COMPACT)


def service_request(turn: Turn, _worker: str, said: Said) -> None:
    """`service_request`: for the monitors that want it."""
    turn.broadcast(said)


HANDLERS: dict[str, Callable[[Turn, str, Said], None]] = {
    "register_worker": register,
    "claim_job": claim,
    "update_job_progress": progress,
    "complete_job": complete,
    "fail_job": fail,
    "worker_heartbeat": heartbeat,
    "worker_status": status,
    "connector_ws_status": connector_status,
    "service_request": service_request,
}
