"""What workers may send, and what follows. Faults `deaf-cancel` and `lost-offers` show here."""

from __future__ import annotations

from collections.abc import Callable

from legacy_hub_sim.core import messages, subscriptions
from legacy_hub_sim.core.connections import Role, Style
from legacy_hub_sim.core.messages import Message
from legacy_hub_sim.core.offers import offer_waiting
from legacy_hub_sim.core.step_context import StepContext, WorkerRecord
from legacy_hub_sim.core.validation import PythonError
from legacy_hub_sim.faults import Fault


def handle(step: StepContext, worker: str, received: Message) -> None:
    """One message of a worker. The name that counts is the one in its path, not the one in the message."""
    message = messages.parse_worker_message(received, step.now)
    if message is None:
        step.error(Role.WORKER, worker, "Invalid message format")
        return
    handler = HANDLERS.get(message["type"])
    if handler is None:
        step.error(Role.WORKER, worker, f"Unsupported message type: {message['type']}")
    else:
        handler(step, worker, message)


def register(step: StepContext, worker: str, message: Message) -> None:
    """`register_worker`: a fresh record; capabilities are kept from before where none are given."""
    if message["capabilities"]:
        step.state.capabilities[worker] = message["capabilities"]
    record = WorkerRecord(registered_at=step.now, last_heartbeat=step.now, updated_at=step.now)
    step.state.persisted.records[worker] = record
    step.state.status[worker] = "idle"
    step.state.heartbeat_at[worker] = step.now
    step.to(Role.WORKER, worker, messages.stamped("worker_registered", step.now, worker_id=worker, status="active"))
    if message["subscribe_to_jobs"]:
        step.state.notified_of_jobs[worker] = None
        step.to(Role.WORKER, worker, messages.stamped("job_notifications_subscribed", step.now, worker_id=worker))
    if message["status"] == "idle":
        offer_waiting(step)


def claim(step: StepContext, worker: str, message: Message) -> None:
    """`claim_job`: for an idle worker, of any pending job, whatever its type."""
    job_id = message["job_id"]
    if step.state.status.get(worker) != "idle":
        step.error(Role.WORKER, worker, f"Cannot claim job {job_id}: Worker {worker} is not idle")
        return
    if not step.jobs.claim(job_id, worker, step.now):
        step.error(Role.WORKER, worker, f"Failed to claim job {job_id}")
        return
    assign(step, worker, "working", job_id)
    job = step.jobs.status(job_id) or {}
    assigned = messages.checked(
        "job_assigned",
        step.now,
        job_id=job_id,
        worker_id=worker,
        job_type=job.get("job_type", "unknown"),
        priority=job.get("priority", 0),
        params=job.get("job_request_payload", {}),
    )
    step.to(Role.WORKER, worker, assigned)
    started = messages.job_status(step.now, job_id=job_id, status="processing", worker_id=worker)
    subscriptions.notify_all(step, job_id, started)
    offer_waiting(step)


def progress(step: StepContext, _worker: str, message: Message) -> None:
    """`update_job_progress`: stored where the job is known, passed on in any case, not answered."""
    if was_cancelled(step, message["job_id"]):
        return
    step.jobs.progress(message["job_id"], message["progress"], message["message"], step.now)
    subscriptions.notify_all(step, message["job_id"], message)


def complete(step: StepContext, worker: str, message: Message) -> None:
    """`complete_job`: acknowledged always, passed on where the job is known."""
    job_id, result = message["job_id"], message["result"]
    if not was_cancelled(step, job_id) and step.jobs.complete(job_id, result, step.now):
        completed = messages.stamped("complete_job", step.now, job_id=job_id, worker_id=worker, result=result)
        subscriptions.notify_all(step, job_id, completed, Style.SPACED)
    assign(step, worker, "idle")
    if record := step.state.persisted.records.get(worker):
        record.jobs_processed += 1
        record.last_job_completed_at = step.now
    step.to(Role.WORKER, worker, messages.stamped("job_completed_ack", step.now, job_id=job_id, worker_id=worker))
    if Fault.LOST_OFFERS not in step.faults:
        offer_waiting(step)


def fail(step: StepContext, worker: str, message: Message) -> None:
    """`fail_job`: queued again, never offered to this worker again; subscribers are notified of every attempt."""
    job_id = message["job_id"]
    error = "Unknown error" if message["error"] is None else message["error"]
    step.state.persisted.failed_by.setdefault(worker, set()).add(job_id)
    cancelled = was_cancelled(step, job_id)
    try:
        queued = cancelled or step.jobs.fail(job_id, error)
    except PythonError as shown:
        step.error(Role.WORKER, worker, f"Invalid FailJobMessage: {shown.text}")
        return
    if queued:
        failed = messages.stamped("job_failed_ack", step.now, job_id=job_id, worker_id=worker, error=error)
        step.to(Role.WORKER, worker, failed)
        assign(step, worker, "idle")
        offer_waiting(step)
    else:
        step.error(Role.WORKER, worker, f"Failed to mark job {job_id} as failed")
    if not cancelled:
        subscriptions.notify_all(step, job_id, message)
    offer_waiting(step)


def was_cancelled(step: StepContext, job_id: str) -> bool:
    """Whether what a worker sends of this job is ignored: it was cancelled, and the hub is without `deaf-cancel`."""
    return Fault.DEAF_CANCEL not in step.faults and step.jobs.store.peek(job_id)[0] == "cancelled"


def heartbeat(step: StepContext, worker: str, message: Message) -> None:
    """`worker_heartbeat`: without a status it says idle, and a worker that says idle is offered a job."""
    step.state.heartbeat_at[worker] = step.now
    if message["status"]:
        show_status(step, worker, message["status"])
        if message["status"] == "idle":
            offer_waiting(step)
    step.to(Role.WORKER, worker, messages.stamped("worker_heartbeat_ack", step.now, worker_id=worker))


def status(step: StepContext, worker: str, message: Message) -> None:
    """`worker_status`."""
    reported = "idle" if message["status"] is None else message["status"]
    assign(step, worker, reported)
    show_status(step, worker, reported)
    if reported == "idle":
        offer_waiting(step)


def show_status(step: StepContext, worker: str, reported: str) -> None:
    """Note a connected worker's status and show it to monitors."""
    if worker not in step.state.connections[Role.WORKER]:
        return
    step.state.status[worker] = reported
    shown = messages.stamped(
        "worker_status",
        step.now,
        message_id=f"worker-status-{int(step.now)}",
        worker_id=worker,
        status=reported,
        capabilities=None,
        connector_statuses=None,
    )
    step.broadcast(shown)


def assign(step: StepContext, worker: str, reported: str, job_id: str | None = None) -> None:
    """Note what a registered worker does; one that never registered stays as it is."""
    record = step.state.persisted.records.get(worker)
    if record is None:
        return
    step.state.status[worker] = record.status = reported
    record.updated_at = step.now
    if job_id:
        step.state.running[worker] = record.current_job_id = job_id
    elif reported == "idle":
        step.state.running.pop(worker, None)
        record.current_job_id = ""


def connector_status(step: StepContext, _worker: str, message: Message) -> None:
    """`connector_ws_status`: for monitors."""
    step.to_monitors(message, Style.COMPACT)


def service_request(step: StepContext, _worker: str, message: Message) -> None:
    """`service_request`: for the monitors that want it."""
    step.broadcast(message)


HANDLERS: dict[str, Callable[[StepContext, str, Message], None]] = {
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
