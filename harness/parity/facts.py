"""What happened to a job, in words that belong to no protocol: accepted, claimed, progress, attempt_failed, completed,
cancelled, status. One adapter for the hub's WebSocket messages, one for the stack's events, so that a client that
reads server-sent events can be held against one that speaks the old protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from harness.cassettes import Closed, Event, Open, Receive, Request, Response, Role, Send
from harness.cassettes.events import fields_of
from harness.protocols import EventKind, JobEvent, JobState, JobStatus, hub, stack

Fact = dict[str, Any]
"""`type` and `job_id`, and by type `worker_id`, `progress`, `status`, `message`, `details`, `result`, `error`."""


_WORDS: Final = {
    EventKind.ACCEPTED: "accepted",
    EventKind.CLAIMED: "claimed",
    EventKind.PROGRESS: "progress",
    EventKind.ATTEMPT_FAILED: "attempt_failed",
    EventKind.FAILED: "attempt_failed",
    EventKind.COMPLETED: "completed",
    EventKind.CANCELLED: "cancelled",
}
"""The hub has no word for the last failure: it is one of an attempt."""
_FIELDS: Final = {
    "claimed": ("worker_id",),
    "progress": ("worker_id", "progress", "status", "message", "details"),
    "attempt_failed": ("worker_id", "error"),
    "completed": ("worker_id", "result"),
}


def fact_of(event: JobEvent) -> Fact | None:
    """The fact that an event of any protocol is, or None."""
    word = _WORDS.get(event.kind)
    if event.kind is EventKind.STATUS and event.state is not None:
        return status_fact(JobStatus(job_id=event.job_id, state=event.state, result=event.result))
    if word is None:
        return None
    reason = {"reason": event.message} if word == "cancelled" else {}
    return {
        "type": word,
        "job_id": event.job_id,
        **{name: getattr(event, name) for name in _FIELDS.get(word, ())},
        **reason,
    }


def status_fact(status: JobStatus) -> Fact:
    """What the server answered when it was asked."""
    return {"type": "status", "job_id": status.job_id, "status": status.state.value, "result": status.result}


def fact_of_message(message: Any) -> Fact | None:
    """The fact that a message of the hub to a client tells, or None."""
    if not isinstance(message, dict):
        return None
    event, status = hub.event_of(message), hub.status_of(message)
    is_answer = event is None or (event.kind is EventKind.CANCELLED and event.message is None)
    if is_answer and status is not None and status.state is not JobState.UNKNOWN:
        return status_fact(status)
    return fact_of(event) if event is not None else None


def fact_of_event(data: Any) -> Fact | None:
    """The fact that one of the stack's events tells, or None. That a job was submitted is told by the answer to it."""
    event = stack.event_of(data) if isinstance(data, dict) else None
    return fact_of(event) if event is not None else None


def as_facts(events: Sequence[Event]) -> tuple[Event, ...]:
    """A recording of old clients and workers in which each client is told facts, and nothing that is no fact.

    What is told twice at once, as the hub tells a cancellation, is one fact. Monitors and actors that make requests
    are left out, and so is the end of a client's connection: a client of another kind has none. What stays is the
    submission of a job that a worker then takes.
    """
    roles = {event.actor: event.role for event in events if isinstance(event, Open)}
    asking: dict[tuple[str, str], bool] = {}
    cancelled: set[tuple[str, str]] = set()
    found: list[Event] = []
    submissions = _worked_on(events)
    for place, event in enumerate(events):
        role = roles.get(event.actor)
        if place in submissions:
            found.append(event)
        elif role is Role.WORKER or (role is Role.CLIENT and not isinstance(event, Receive | Closed)):
            found.append(event)
            if isinstance(event, Send) and (said := fields_of(event)):
                asking[event.actor, str(said.get("job_id"))] = said.get("type") == "request_job_status"
        elif role is Role.CLIENT and isinstance(event, Receive) and (fact := fact_of_message(event.content)):
            key = (event.actor, str(fact["job_id"]))
            if fact["type"] == "cancelled" and asking.get(key):
                fact = {"type": "status", "job_id": fact["job_id"], "status": "cancelled", "result": None}
            if fact["type"] != "cancelled" or key not in cancelled:
                found.append(msgspec.structs.replace(event, message=fact, text=msgspec.UNSET))
            if fact["type"] == "cancelled":
                cancelled.add(key)
    return tuple(found)


def _worked_on(events: Sequence[Event]) -> set[int]:
    """The places of the requests, and of their answers, that submit a job which a worker of the recording claims."""
    said = [fields_of(event) for event in events if isinstance(event, Send)]
    claimed = {content.get("job_id") for content in said if content.get("type") == "claim_job"}
    asking: dict[str, int] = {}
    found: set[int] = set()
    for place, event in enumerate(events):
        if isinstance(event, Request) and event.method == "POST":
            asking[event.actor] = place
        elif isinstance(event, Response) and event.actor in asking:
            asked = asking.pop(event.actor)
            if fields_of(event).get("job_id") in claimed:
                found |= {asked, place}
    return found


def asks_for_facts(events: Sequence[Event]) -> bool:
    """Whether any client of the recording submits a job or follows one: another kind of client can do that too."""
    clients = {event.actor for event in events if isinstance(event, Open) and event.role is Role.CLIENT}
    return any(
        isinstance(event, Send)
        and event.actor in clients
        and fields_of(event).get("type") in {"submit_job", "subscribe_job"}
        for event in events
    )
