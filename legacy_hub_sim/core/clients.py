"""What clients may send, and what they are answered; how a job is taken in, over REST too.

Faults `odd-priority` and `duplicate-id` are decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from legacy_hub_sim.core import messages, subscriptions
from legacy_hub_sim.core.connections import Peer, Role
from legacy_hub_sim.core.jobs import Submission, key_of, payload_text
from legacy_hub_sim.core.monitors import system_stats
from legacy_hub_sim.core.offers import offer_again, offer_waiting
from legacy_hub_sim.core.step_context import StepContext
from legacy_hub_sim.core.validation import stored_whole
from legacy_hub_sim.faults import Fault

Request = dict[str, Any]


def handle(step: StepContext, peer: Peer, message: Request) -> None:
    """One message of a client."""
    type_ = message.get("type")
    handler = HANDLERS.get(type_) if isinstance(type_, str) else None
    if handler is not None:
        handler(step, peer, message)
    elif type_ in ABOUT_A_JOB:
        about_a_job(step, peer, message)
    else:
        step.error(Role.CLIENT, peer.name, f"Unsupported message type: {type_}")


def about_a_job(step: StepContext, peer: Peer, message: Request) -> None:
    """The messages that need a `job_id`."""
    type_ = message["type"]
    if not message.get("job_id"):
        step.error(Role.CLIENT, peer.name, f"Missing job_id in {type_} request")
    else:
        ABOUT_A_JOB[type_](step, peer, message)


def request_job_status(step: StepContext, peer: Peer, message: Request) -> None:
    """`request_job_status`."""
    job_id = message["job_id"]
    job = step.jobs.status(job_id)
    if job is None:
        step.error(Role.CLIENT, peer.name, f"Job {job_id} not found")
        return
    answer = messages.job_status(
        step.now,
        job_id=job_id,
        status=job.get("status", "unknown"),
        progress=int(job["progress"]) if "progress" in job else None,
        worker_id=job.get("worker"),
        completed_at=float(job["completed_at"]) if "completed_at" in job else None,
        result=job.get("result"),
        message=job.get("message"),
    )
    step.to(Role.CLIENT, peer.name, answer)
    subscriptions.subscribe_asker(step, peer.name, job_id)


def subscribe_job(step: StepContext, peer: Peer, message: Request) -> None:
    """`subscribe_job`: confirmed for any id."""
    subscriptions.subscribe_asker(step, peer.name, message["job_id"])
    step.reply(peer, messages.checked("subscription_confirmed", step.now, job_id=message["job_id"]))


def subscribe_stats(step: StepContext, peer: Peer, _message: Request) -> None:
    """`subscribe_stats`: confirmed, and nothing is ever sent for it."""
    step.state.stats_subscribers[peer.name] = None
    step.reply(peer, messages.checked("subscription_confirmed", step.now, job_id="stats", channels=["stats"]))


def request_stats(step: StepContext, peer: Peer, message: Request) -> None:
    """`request_stats`: for a client only where a monitor is connected under the same name."""
    if peer.name not in step.state.connections[Role.MONITOR]:
        step.error(Role.CLIENT, peer.name, "Stats requests are restricted to monitors only")
        return
    step.to(Role.CLIENT, peer.name, messages.stamped("response_stats", step.now, stats=system_stats(step)))
    if message.get("message_id"):
        answered = {"message_id": message["message_id"], "type": "request_stats"}
        step.to(Role.CLIENT, peer.name, {**messages.ack(answered, step.now), "message_id": None})


def cancel_job(step: StepContext, peer: Peer, message: Request) -> None:
    """`cancel_job`: the asker is answered, then the subscriber notified, even where they are the same."""
    job_id, reason = message["job_id"], message.get("reason", "Manually cancelled")
    worker = running_on(step, job_id)
    if not step.jobs.cancel(job_id, reason, step.now):
        sentence = f"Failed to cancel job {job_id}. Job may not exist or is already in a terminal state."
        step.error(Role.CLIENT, peer.name, sentence)
        return
    answer = messages.job_status(step.now, job_id=job_id, status="cancelled", message=f"Job cancelled: {reason}")
    step.to(Role.CLIENT, peer.name, answer)
    subscriptions.notify_subscribers(step, job_id, answer)
    if worker is not None and Fault.DEAF_CANCEL not in step.faults:
        step.to(Role.WORKER, worker, messages.stamped("cancel_job", step.now, job_id=job_id, reason=reason))


def running_on(step: StepContext, job_id: Any) -> str | None:
    """The worker that holds a claimed job."""
    job = step.jobs.status(job_id) or {}
    return job.get("worker") if job.get("status") == "claimed" else None


def force_retry_job(step: StepContext, peer: Peer, message: Request) -> None:
    """`force_retry_job`: forget who failed the job."""
    job_id = message["job_id"]
    job = step.jobs.status(job_id)
    if job is None:
        step.error(Role.CLIENT, peer.name, f"Failed to force retry job {job_id}. Job does not exist.")
        return
    status = job.get("status", "unknown")
    if not clear_failures(step, job_id):
        text = "Job has no failure history to clear."
        step.to(Role.CLIENT, peer.name, messages.job_status(step.now, job_id=job_id, status=status, message=text))
        return
    text = "Job failure history cleared. Job can now be assigned to any worker."
    answer = messages.job_status(step.now, job_id=job_id, status=status, message=text)
    step.to(Role.CLIENT, peer.name, answer)
    subscriptions.notify_subscribers(step, job_id, answer)
    if status == "pending":
        offer_again(step, job_id, stored_whole(job.get("priority", "0")))


def clear_failures(step: StepContext, job_id: Any) -> bool:
    """Forget which workers failed a job; False where none did. The last of them may still not claim it."""
    cleared = False
    for jobs in step.state.persisted.failed_by.values():
        if isinstance(job_id, str) and job_id in jobs:
            jobs.remove(job_id)
            cleared = True
    return cleared


def stay_alive(step: StepContext, peer: Peer, _message: Request) -> None:
    """`stay_alive`."""
    answer = messages.job_status(step.now, job_id="keep-alive", status="acknowledged", message="Connection is alive")
    step.to(Role.CLIENT, peer.name, answer)


def submit(step: StepContext, peer: Peer, message: Request) -> None:
    """`submit_job`: store, tell the place, subscribe, offer. A job that is not found again is not answered."""
    job = Submission(
        job_id=message.get("message_id") or f"job-{step.new_id()}",
        job_type=message.get("job_type", "unknown"),
        priority=message.get("priority", 0),
        payload=message.get("payload", {}),
        client_id=peer.name,
    )
    if refusal := refused(step, job):
        step.error(Role.CLIENT, peer.name, refusal)
        return
    repeated = already_there(step, job)
    if not repeated:
        step.jobs.add(job, step.now)
    position = step.jobs.position(job.job_id, job.job_type)
    if position is None and not repeated:
        return
    step.to(Role.CLIENT, peer.name, accepted(step, job.job_id, position))
    subscriptions.subscribe_submitter(step, peer.name, job.job_id)
    offer_waiting(step)


def accepted(step: StepContext, job_id: str, position: int | None) -> messages.Message:
    """`job_accepted`. A repeated submission without `duplicate-id` tells the status the job has by now."""
    status = (step.jobs.store.read(job_id).get("status") if position is None else None) or "pending"
    return messages.stamped(
        "job_accepted",
        step.now,
        job_id=job_id,
        status=status,
        position=position,
        estimated_start=None,
        notified_workers=0,
    )


def refused(step: StepContext, job: Submission) -> str | None:
    """Why a hub without the faults does not take a job; None where it does, and always with the faults."""
    if Fault.ODD_PRIORITY not in step.faults and (isinstance(job.priority, bool) or not isinstance(job.priority, int)):
        return "Invalid priority in submit_job request: it must be a whole number"
    if Fault.DUPLICATE_ID in step.faults:
        return None
    if not isinstance(job.job_id, str) or not isinstance(job.job_type, str):
        return "Invalid submit_job request: message_id and job_type must be text"
    if step.jobs.store.exists(key_of(job.job_id)) and not already_there(step, job):
        return f"Job {job.job_id} already exists"
    return None


def already_there(step: StepContext, job: Submission) -> bool:
    """Whether this very job was submitted before, to a hub that looks (one without `duplicate-id`)."""
    if Fault.DUPLICATE_ID in step.faults:
        return False
    there = step.jobs.store.read(key_of(job.job_id))
    return (there.get("job_type"), there.get("priority"), there.get("job_request_payload")) == (
        job.job_type,
        str(job.priority),
        payload_text(job.payload),
    )


Handler = Callable[[StepContext, Peer, Request], None]

HANDLERS: dict[str, Handler] = {
    "submit_job": submit,
    "subscribe_stats": subscribe_stats,
    "request_stats": request_stats,
    "stay_alive": stay_alive,
}
ABOUT_A_JOB: dict[Any, Handler] = {
    "request_job_status": request_job_status,
    "subscribe_job": subscribe_job,
    "cancel_job": cancel_job,
    "force_retry_job": force_retry_job,
}
