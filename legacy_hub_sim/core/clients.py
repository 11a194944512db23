"""What clients may say, and what they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from legacy_hub_sim.core import messages, subscriptions
from legacy_hub_sim.core.leaks import whole
from legacy_hub_sim.core.offers import offer_again
from legacy_hub_sim.core.peers import Peer, Role
from legacy_hub_sim.core.stats import system_stats
from legacy_hub_sim.core.submissions import submit
from legacy_hub_sim.core.turn import Turn
from legacy_hub_sim.faults import Fault

Request = dict[str, Any]


def handle(turn: Turn, peer: Peer, message: Request) -> None:
    """One message of a client."""
    type_ = message.get("type")
    handler = HANDLERS.get(type_) if isinstance(type_, str) else None
    if handler is not None:
        handler(turn, peer, message)
    elif type_ in ABOUT_A_JOB:
        about_a_job(turn, peer, message)
    else:
        turn.error(Role.CLIENT, peer.name, f"Unsupported message type: {type_}")


def about_a_job(turn: Turn, peer: Peer, message: Request) -> None:
    """The messages that need a `job_id`."""
    type_ = message["type"]
    if not message.get("job_id"):
        turn.error(Role.CLIENT, peer.name, f"Missing job_id in {type_} request")
    else:
        ABOUT_A_JOB[type_](turn, peer, message)


def submit_job(turn: Turn, peer: Peer, message: Request) -> None:
    """`submit_job`."""
    submit(turn, peer.name, message)


def request_job_status(turn: Turn, peer: Peer, message: Request) -> None:
    """`request_job_status`."""
    job_id = message["job_id"]
    job = turn.jobs.status(job_id)
    if job is None:
        turn.error(Role.CLIENT, peer.name, f"Job {job_id} not found")
        return
    answer = messages.job_status(
        turn.now,
        job_id=job_id,
        status=job.get("status", "unknown"),
        progress=int(job["progress"]) if "progress" in job else None,
        worker_id=job.get("worker"),
        completed_at=float(job["completed_at"]) if "completed_at" in job else None,
        result=job.get("result"),
        message=job.get("message"),
    )
    turn.to(Role.CLIENT, peer.name, answer)
    subscriptions.subscribe_asker(turn, peer.name, job_id)


def subscribe_job(turn: Turn, peer: Peer, message: Request) -> None:
    """`subscribe_job`: confirmed for any id."""
    subscriptions.subscribe_asker(turn, peer.name, message["job_id"])
    turn.reply(peer, messages.subscription_confirmed(turn.now, job_id=message["job_id"]))


def subscribe_stats(turn: Turn, peer: Peer, _message: Request) -> None:
    """`subscribe_stats`: confirmed, and nothing is ever sent for it."""
    turn.memory.stats_subscribers[peer.name] = None
    turn.reply(peer, messages.subscription_confirmed(turn.now, job_id="stats", channels=["stats"]))


def request_stats(turn: Turn, peer: Peer, message: Request) -> None:
    """`request_stats`: for a client only where a monitor is connected under the same name."""
    if peer.name not in turn.memory.connections[Role.MONITOR]:
        turn.error(Role.CLIENT, peer.name, "Stats requests are restricted to monitors only")
        return
    turn.to(Role.CLIENT, peer.name, messages.stamped("response_stats", turn.now, stats=system_stats(turn)))
    if message.get("message_id"):
        answered = {"message_id": message["message_id"], "type": "request_stats"}
        turn.to(Role.CLIENT, peer.name, {**messages.ack(answered, turn.now), "message_id": None})


def cancel_job(turn: Turn, peer: Peer, message: Request) -> None:
    """`cancel_job`: the asker is answered, then the subscriber told, even where they are the same."""
    job_id, reason = message["job_id"], message.get("reason", "Manually cancelled")
    worker = running_on(turn, job_id)
    if not turn.jobs.cancel(job_id, reason, turn.now):
        sentence = f"Failed to cancel job {job_id}. Job may not exist or is already in a terminal state."
        turn.error(Role.CLIENT, peer.name, sentence)
        return
    answer = messages.job_status(turn.now, job_id=job_id, status="cancelled", message=f"Job cancelled: {reason}")
    turn.to(Role.CLIENT, peer.name, answer)
    subscriptions.tell(turn, job_id, answer)
    if worker is not None and Fault.DEAF_CANCEL not in turn.faults:
        turn.to(Role.WORKER, worker, messages.stamped("cancel_job", turn.now, job_id=job_id, reason=reason))


def running_on(turn: Turn, job_id: Any) -> str | None:
    """The worker that holds a claimed job."""
    job = turn.jobs.status(job_id) or {}
    return job.get("worker") if job.get("status") == "claimed" else None


def force_retry_job(turn: Turn, peer: Peer, message: Request) -> None:
    """`force_retry_job`: forget who failed the job."""
    job_id = message["job_id"]
    job = turn.jobs.status(job_id)
    if job is None:
        turn.error(Role.CLIENT, peer.name, f"Failed to force retry job {job_id}. Job does not exist.")
        return
    status = job.get("status", "unknown")
    if not clear_failures(turn, job_id):
        text = "Job has no failure history to clear."
        turn.to(Role.CLIENT, peer.name, messages.job_status(turn.now, job_id=job_id, status=status, message=text))
        return
    text = "Job failure history cleared. Job can now be assigned to any worker."
    answer = messages.job_status(turn.now, job_id=job_id, status=status, message=text)
    turn.to(Role.CLIENT, peer.name, answer)
    subscriptions.tell(turn, job_id, answer)
    if status == "pending":
        offer_again(turn, job_id, whole(job.get("priority", "0")))


def clear_failures(turn: Turn, job_id: Any) -> bool:
    """Forget which workers failed a job; False where none did. The last of them may still not claim it."""
    cleared = False
    for jobs in turn.memory.kept.failed_by.values():
        if isinstance(job_id, str) and job_id in jobs:
            jobs.remove(job_id)
            cleared = True
    return cleared


def stay_alive(turn: Turn, peer: Peer, _message: Request) -> None:
    """`stay_alive`."""
    answer = messages.job_status(turn.now, job_id="keep-alive", status="acknowledged", message="Connection is alive")
    turn.to(Role.CLIENT, peer.name, answer)


Handler = Callable[[Turn, Peer, Request], None]

HANDLERS: dict[str, Handler] = {
    "submit_job": submit_job,
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
