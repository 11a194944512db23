"""What happened to a job, in words that belong to no protocol: accepted, claimed, progress, attempt_failed, completed,
cancelled, status. One adapter for the hub's WebSocket messages, one for the stack's events, so that a client that
reads server-sent events can be held against one that speaks the old protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from harness.cassettes import Closed, Event, Open, Receive, Role, Send

Fact = dict[str, Any]
"""`type` and `job_id`, and by type `worker_id`, `progress`, `status`, `message`, `details`, `result`, `error`."""

_CANCELLED_TEXT: Final = "Job cancelled: "


def fact_of_message(message: Any) -> Fact | None:
    """The fact that a message of the hub to a client tells, or None."""
    if not isinstance(message, dict) or not isinstance(job_id := message.get("job_id"), str):
        return None
    fact: Fact | None = None
    match message.get("type"):
        case "job_accepted":
            fact = {"type": "accepted", "job_id": job_id}
        case "update_job_progress":
            fact = progress(job_id, message, details=message.get("connector_details"))
        case "complete_job":
            fact = ended("completed", job_id, message, result=message.get("result"))
        case "fail_job":
            fact = ended("attempt_failed", job_id, message, error=message.get("error"))
        case "response_job_status":
            fact = _fact_of_status(job_id, message)
    return fact


def _fact_of_status(job_id: str, message: dict[str, Any]) -> Fact | None:
    status, text = message.get("status"), str(message.get("message"))
    if status == "processing":
        return {"type": "claimed", "job_id": job_id, "worker_id": message.get("worker_id")}
    if status == "cancelled" and text.startswith(_CANCELLED_TEXT):
        return {"type": "cancelled", "job_id": job_id, "reason": text.removeprefix(_CANCELLED_TEXT)}
    if status == "acknowledged":
        return None
    return {"type": "status", "job_id": job_id, "status": status, "result": message.get("result")}


def fact_of_event(data: Any) -> Fact | None:
    """The fact that one of the stack's events tells, or None. That a job was submitted is told by the answer to it."""
    if not isinstance(data, dict) or not isinstance(job_id := data.get("job_id"), str):
        return None
    fact: Fact | None = None
    match data.get("kind"):
        case "claimed":
            fact = {"type": "claimed", "job_id": job_id, "worker_id": data.get("worker_id")}
        case "progress":
            fact = progress(job_id, data, details=data.get("details"))
        case "completed":
            fact = ended("completed", job_id, data, result=data.get("result"))
        case "attempt_failed" | "failed":
            fact = ended("attempt_failed", job_id, data, error=data.get("error"))
        case "cancelled":
            fact = {"type": "cancelled", "job_id": job_id, "reason": data.get("message")}
    return fact


def progress(job_id: str, source: dict[str, Any], *, details: Any) -> Fact:
    """That a worker came so far."""
    told = {name: source.get(name) for name in ("worker_id", "progress", "status", "message")}
    return {"type": "progress", "job_id": job_id, **told, "details": details}


def ended(word: str, job_id: str, source: dict[str, Any], **more: Any) -> Fact:
    """That an attempt ended."""
    return {"type": word, "job_id": job_id, "worker_id": source.get("worker_id"), **more}


def as_facts(events: Sequence[Event]) -> tuple[Event, ...]:
    """A recording of old clients and workers in which each client is told facts, and nothing that is no fact.

    What is told twice at once, as the hub tells a cancellation, is one fact. Monitors and actors that make requests
    are left out, and so is the end of a client's connection: a client of another kind has none.
    """
    roles = {event.actor: event.role for event in events if isinstance(event, Open)}
    asking: dict[tuple[str, str], bool] = {}
    cancelled: set[tuple[str, str]] = set()
    found: list[Event] = []
    for event in events:
        role = roles.get(event.actor)
        if role is Role.WORKER or (role is Role.CLIENT and not isinstance(event, Receive | Closed)):
            found.append(event)
            if isinstance(event, Send) and isinstance(event.content, dict):
                key = (event.actor, str(event.content.get("job_id")))
                asking[key] = event.content.get("type") == "request_job_status"
        elif role is Role.CLIENT and isinstance(event, Receive) and (fact := fact_of_message(event.content)):
            key = (event.actor, str(fact["job_id"]))
            if fact["type"] == "cancelled" and asking.get(key):
                fact = {"type": "status", "job_id": fact["job_id"], "status": "cancelled", "result": None}
            if fact["type"] != "cancelled" or key not in cancelled:
                found.append(msgspec.structs.replace(event, message=fact, text=msgspec.UNSET))
            if fact["type"] == "cancelled":
                cancelled.add(key)
    return tuple(found)


def asks_for_facts(events: Sequence[Event]) -> bool:
    """Whether any client of the recording submits a job or follows one: another kind of client can do that too."""
    clients = {event.actor for event in events if isinstance(event, Open) and event.role is Role.CLIENT}
    return any(
        isinstance(event, Send)
        and event.actor in clients
        and isinstance(event.content, dict)
        and event.content.get("type") in {"submit_job", "subscribe_job"}
        for event in events
    )
