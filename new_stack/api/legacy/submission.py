"""A submission over the legacy WebSocket, as a job: whole or not at all."""

from __future__ import annotations

from msgspec import Raw

from new_stack.api.legacy.messages import Fields, Refusal, spelled, text_field, value
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob


def new_job(fields: Fields, client_id: str, *, id_field: str) -> NewJob:
    """The job in a submission. Raises Refusal, naming the field; nothing of such a job is stored."""
    payload = fields.get("payload", Raw(b"{}"))
    if not bytes(payload).lstrip()[:1] == b"{":
        raise Refusal(f"payload must be a JSON object, not {spelled(value(fields, 'payload'))}")
    return NewJob(
        payload=payload,
        service_required=_service(fields),
        priority=_priority(fields),
        id=text_field(fields, id_field),
        client_id=client_id,
    )


def _service(fields: Fields) -> str:
    for name in ("job_type", "service_required"):
        if name in fields:
            found = value(fields, name)
            if not isinstance(found, str) or not found:
                raise Refusal(f"{name} must be text, not {spelled(found)}")
            return found
    return "unknown"


def _priority(fields: Fields) -> int:
    found = value(fields, "priority", 0)
    whole = type(found) is int or (isinstance(found, float) and found.is_integer())
    if not whole or abs(found) > PRIORITY_LIMIT:
        raise Refusal(
            f"priority must be a whole number from -{PRIORITY_LIMIT} to {PRIORITY_LIMIT}, not {spelled(found)}"
        )
    return int(found)
