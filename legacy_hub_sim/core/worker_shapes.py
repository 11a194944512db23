"""The messages a worker's line is parsed as. What fits none of them is answered "Invalid message format".

The hub parses every type it knows in either direction, so that a client's message from a worker gets the other answer,
"Unsupported message type", if it is well formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from legacy_hub_sim.core.shapes import Field, Kind, fit


def text(name: str, default: str | None = "", *, nullable: bool = False) -> Field:
    """A field of text."""
    return Field(name, Kind.TEXT, nullable=nullable, required=False, default=default)


def whole(name: str, default: int, *, nullable: bool = False) -> Field:
    """A field of a whole number."""
    return Field(name, Kind.WHOLE, nullable=nullable, required=False, default=default)


def flag(name: str, *, default: bool) -> Field:
    """A field of true or false."""
    return Field(name, Kind.FLAG, required=False, default=default)


def an_object(name: str, *, nullable: bool = True, empty: bool = False) -> Field:
    """A field of an object."""
    return Field(name, Kind.OBJECT, nullable=nullable, required=False, default={} if empty else None)


JOB, WORKER = text("job_id"), text("worker_id")

SHAPES: dict[str, tuple[Field, ...]] = {
    "register_worker": (
        WORKER,
        an_object("capabilities"),
        flag("subscribe_to_jobs", default=True),
        text("status", "idle"),
    ),
    "update_job_progress": (
        JOB,
        WORKER,
        whole("progress", 0),
        text("status", "processing"),
        text("message", None, nullable=True),
        an_object("connector_details"),
    ),
    "complete_job": (JOB, WORKER, an_object("result", empty=True)),
    "fail_job": (JOB, WORKER, text("error", None, nullable=True)),
    "claim_job": (WORKER, JOB, whole("claim_timeout", 30, nullable=True)),
    "worker_heartbeat": (
        WORKER,
        text("status", "idle", nullable=True),
        Field("load", Kind.NUMBER, nullable=True, required=False, default=0.0),
    ),
    "worker_status": (
        text("message_id", None, nullable=True),
        WORKER,
        text("status", "idle", nullable=True),
        an_object("capabilities", empty=True),
    ),
    "connector_ws_status": (
        WORKER,
        text("connector_type"),
        flag("connected", default=False),
        text("service_name"),
        an_object("details"),
        Field("last_ping", Kind.NUMBER, nullable=True, required=False),
    ),
    "service_request": (
        JOB,
        WORKER,
        text("service"),
        text("request_type"),
        an_object("content", nullable=False, empty=True),
    ),
    "submit_job": (text("job_type", "unknown"), whole("priority", 0), an_object("payload", nullable=False, empty=True)),
    "request_job_status": (JOB,),
    "subscribe_job": (JOB,),
    "subscribe_stats": (),
    "request_stats": (),
    "connection_established": (text("message", "Connection established"),),
    "worker_heartbeat_ack": (WORKER,),
    "job_assigned": (
        JOB,
        WORKER,
        text("job_type"),
        whole("priority", 0),
        an_object("params", nullable=False, empty=True),
    ),
    "job_available": (
        JOB,
        text("job_type"),
        whole("priority", 0, nullable=True),
        an_object("job_request_payload", empty=True),
    ),
    "job_completed_ack": (JOB, WORKER),
    "job_failed_ack": (JOB, WORKER, text("error", None, nullable=True)),
    "job_notifications_subscribed": (WORKER,),
    "worker_registered": (WORKER, text("status", "active")),
    "error": (text("error", "Unknown error"), an_object("details")),
}
RANGES = {("update_job_progress", "progress"): (-1, 100), ("submit_job", "priority"): (0, 10)}


def parse(message: Mapping[str, Any], now: float) -> dict[str, Any] | None:
    """A worker's message as the hub goes on with it, time and type first; None where it fits no shape."""
    type_ = message.get("type")
    if not isinstance(type_, str) or type_ not in SHAPES:
        return None
    time = Field("timestamp", Kind.NUMBER, required=False, default=now)
    values, problems = fit((time, *SHAPES[type_]), message)
    if problems:
        return None
    for (shape, name), (low, high) in RANGES.items():
        if shape == type_ and not low <= values[name] <= high:
            return None
    return {"type": type_, **values}
