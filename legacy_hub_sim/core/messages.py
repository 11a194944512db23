"""The hub's messages: those it sends, their fields in its order and absent ones as null, and those it parses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from legacy_hub_sim.core.validation import Field, FieldType, fit, must_fit

Message = dict[str, Any]


def text(name: str, default: str | None = "", *, nullable: bool = False) -> Field:
    """A field of text."""
    return Field(name, FieldType.TEXT, nullable=nullable, required=False, default=default)


def whole(name: str, default: int | None, *, nullable: bool = False) -> Field:
    """A field of a whole number."""
    return Field(name, FieldType.WHOLE, nullable=nullable, required=False, default=default)


def flag(name: str, *, default: bool) -> Field:
    """A field of true or false."""
    return Field(name, FieldType.FLAG, required=False, default=default)


def an_object(name: str, *, nullable: bool = True, empty: bool = False) -> Field:
    """A field of an object."""
    return Field(name, FieldType.OBJECT, nullable=nullable, required=False, default={} if empty else None)


def number(name: str, default: float | None = None) -> Field:
    """A field of a number or null."""
    return Field(name, FieldType.NUMBER, nullable=True, required=False, default=default)


MODELS: dict[str, tuple[str, tuple[Field, ...]]] = {
    "response_job_status": (
        "ResponseJobStatusMessage",
        (
            Field("job_id", FieldType.TEXT),
            Field("status", FieldType.TEXT),
            whole("progress", None, nullable=True),
            text("worker_id", None, nullable=True),
            number("started_at"),
            number("completed_at"),
            an_object("result"),
            text("message", None, nullable=True),
        ),
    ),
    "job_assigned": (
        "JobAssignedMessage",
        (
            Field("job_id", FieldType.TEXT),
            Field("worker_id", FieldType.TEXT),
            Field("job_type", FieldType.TEXT),
            Field("priority", FieldType.WHOLE),
            Field("params", FieldType.OBJECT),
        ),
    ),
    "job_available": (
        "JobAvailableMessage",
        (
            Field("job_id", FieldType.TEXT),
            Field("job_type", FieldType.TEXT),
            whole("priority", 0, nullable=True),
            an_object("job_request_payload"),
        ),
    ),
    "subscription_confirmed": (
        "SubscriptionConfirmedMessage",
        (
            Field("job_id", FieldType.TEXT),
            text("monitor_id", None, nullable=True),
            Field("channels", FieldType.TEXTS, nullable=True, required=False),
        ),
    ),
}
"""The messages that the hub builds by a model of its validation library: the model's name and fields."""


def stamped(type_: str, now: float, **fields: Any) -> Message:
    """A message of the usual form: type, time, and its own fields."""
    return {"type": type_, "timestamp": now, **fields}


def error(text: str, now: float) -> Message:
    """The usual error."""
    return stamped("error", now, error=text, details=None)


def bare_error(text: str) -> Message:
    """The error that monitors get, and whoever brings a wrong token: no time, no details."""
    return {"type": "error", "error": text}


def checked(type_: str, now: float, **given: Any) -> Message:
    """A message with a model; raises `PythonError` where the model refuses."""
    model, fields = MODELS[type_]
    return stamped(type_, now, **must_fit(model, fields, given))


def job_status(now: float, **given: Any) -> Message:
    """`response_job_status`."""
    return checked("response_job_status", now, **given)


def ack(original: Mapping[str, Any], now: float) -> Message:
    """What follows every broadcast to a monitor."""
    return stamped(
        "ack",
        now,
        message_id=f"ack-{int(now)}",
        original_id=original.get("message_id", "unknown"),
        original_type=original["type"],
    )


JOB, WORKER = text("job_id"), text("worker_id")

WORKER_MESSAGES: dict[str, tuple[Field, ...]] = {
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
        number("load", 0.0),
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
        number("last_ping"),
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


def parse_worker_message(message: Mapping[str, Any], now: float) -> dict[str, Any] | None:
    """A worker's message as the hub goes on with it, time and type first; None where it fits no shape."""
    type_ = message.get("type")
    if not isinstance(type_, str) or type_ not in WORKER_MESSAGES:
        return None
    time = Field("timestamp", FieldType.NUMBER, required=False, default=now)
    values, problems = fit((time, *WORKER_MESSAGES[type_]), message)
    if problems:
        return None
    for (shape, name), (low, high) in RANGES.items():
        if shape == type_ and not low <= values[name] <= high:
            return None
    return {"type": type_, **values}
