"""The hub's messages: their fields in the order it writes them, absent ones as null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from legacy_hub_sim.core.shapes import Field, Kind, must_fit

Message = dict[str, Any]

STATUS_FIELDS = (
    Field("job_id", Kind.TEXT),
    Field("status", Kind.TEXT),
    Field("progress", Kind.WHOLE, nullable=True, required=False),
    Field("worker_id", Kind.TEXT, nullable=True, required=False),
    Field("started_at", Kind.NUMBER, nullable=True, required=False),
    Field("completed_at", Kind.NUMBER, nullable=True, required=False),
    Field("result", Kind.OBJECT, nullable=True, required=False),
    Field("message", Kind.TEXT, nullable=True, required=False),
)
ASSIGNED_FIELDS = (
    Field("job_id", Kind.TEXT),
    Field("worker_id", Kind.TEXT),
    Field("job_type", Kind.TEXT),
    Field("priority", Kind.WHOLE),
    Field("params", Kind.OBJECT),
)
AVAILABLE_FIELDS = (
    Field("job_id", Kind.TEXT),
    Field("job_type", Kind.TEXT),
    Field("priority", Kind.WHOLE, nullable=True, required=False, default=0),
    Field("job_request_payload", Kind.OBJECT, nullable=True, required=False),
)
CONFIRMED_FIELDS = (
    Field("job_id", Kind.TEXT),
    Field("monitor_id", Kind.TEXT, nullable=True, required=False),
    Field("channels", Kind.TEXTS, nullable=True, required=False),
)


def stamped(type_: str, now: float, **fields: Any) -> Message:
    """A message of the usual form: type, time, and its own fields."""
    return {"type": type_, "timestamp": now, **fields}


def error(text: str, now: float) -> Message:
    """The usual error."""
    return stamped("error", now, error=text, details=None)


def bare_error(text: str) -> Message:
    """The error that monitors get, and whoever brings a wrong token: no time, no details."""
    return {"type": "error", "error": text}


def job_status(now: float, **given: Any) -> Message:
    """`response_job_status`; raises `Leak` where the hub's model refuses."""
    return stamped("response_job_status", now, **must_fit("ResponseJobStatusMessage", STATUS_FIELDS, given))


def job_assigned(now: float, **given: Any) -> Message:
    """`job_assigned`; raises `Leak` where the hub's model refuses."""
    return stamped("job_assigned", now, **must_fit("JobAssignedMessage", ASSIGNED_FIELDS, given))


def job_available(now: float, **given: Any) -> Message:
    """`job_available`; raises `Leak` where the hub's model refuses."""
    return stamped("job_available", now, **must_fit("JobAvailableMessage", AVAILABLE_FIELDS, given))


def subscription_confirmed(now: float, **given: Any) -> Message:
    """`subscription_confirmed`; raises `Leak` where the hub's model refuses."""
    return stamped("subscription_confirmed", now, **must_fit("SubscriptionConfirmedMessage", CONFIRMED_FIELDS, given))


def ack(original: Mapping[str, Any], now: float) -> Message:
    """What follows every broadcast to a monitor."""
    return stamped(
        "ack",
        now,
        message_id=f"ack-{int(now)}",
        original_id=original.get("message_id", "unknown"),
        original_type=original["type"],
    )
