"""Taking a job in, over WebSocket and REST. Faults `odd-priority` and `duplicate-id` are decided here."""

from __future__ import annotations

from typing import Any

from legacy_hub_sim.core import messages, subscriptions
from legacy_hub_sim.core.jobs import Submission, key_of, payload_text
from legacy_hub_sim.core.offers import offer_waiting
from legacy_hub_sim.core.peers import Role
from legacy_hub_sim.core.turn import Turn
from legacy_hub_sim.faults import Fault


def submit(turn: Turn, client: str, message: dict[str, Any]) -> None:
    """`submit_job`: store, tell the place, subscribe, offer. A job that is not found again is not answered."""
    job = Submission(
        job_id=message.get("message_id") or f"job-{turn.new_id()}",
        job_type=message.get("job_type", "unknown"),
        priority=message.get("priority", 0),
        payload=message.get("payload", {}),
        client_id=client,
    )
    if refusal := refused(turn, job):
        turn.error(Role.CLIENT, client, refusal)
        return
    repeated = already_there(turn, job)
    if not repeated:
        turn.jobs.add(job, turn.now)
    position = turn.jobs.position(job.job_id, job.job_type)
    if position is None and not repeated:
        return
    turn.to(Role.CLIENT, client, accepted(turn, job.job_id, position))
    subscriptions.subscribe_submitter(turn, client, job.job_id)
    offer_waiting(turn)


def accepted(turn: Turn, job_id: str, position: int | None) -> messages.Message:
    """`job_accepted`. A repeated submission without `duplicate-id` tells the status the job has by now."""
    status = (turn.jobs.store.read(job_id).get("status") if position is None else None) or "pending"
    return messages.stamped(
        "job_accepted",
        turn.now,
        job_id=job_id,
        status=status,
        position=position,
        estimated_start=None,
        notified_workers=0,
    )


def refused(turn: Turn, job: Submission) -> str | None:
    """Why a hub without the faults does not take a job; None where it does, and always with the faults."""
    if Fault.ODD_PRIORITY not in turn.faults and (isinstance(job.priority, bool) or not isinstance(job.priority, int)):
        return "Invalid priority in submit_job request: it must be a whole number"
    if Fault.DUPLICATE_ID in turn.faults:
        return None
    if not isinstance(job.job_id, str) or not isinstance(job.job_type, str):
        return "Invalid submit_job request: message_id and job_type must be text"
    if turn.jobs.store.exists(key_of(job.job_id)) and not already_there(turn, job):
        return f"Job {job.job_id} already exists"
    return None


def already_there(turn: Turn, job: Submission) -> bool:
    """Whether this very job was submitted before, to a hub that looks (one without `duplicate-id`)."""
    if Fault.DUPLICATE_ID in turn.faults:
        return False
    there = turn.jobs.store.read(key_of(job.job_id))
    return (there.get("job_type"), there.get("priority"), there.get("job_request_payload")) == (
        job.job_type,
        str(job.priority),
        payload_text(job.payload),
    )
