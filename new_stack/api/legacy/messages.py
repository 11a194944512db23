"""Reads what a legacy connection sends: JSON text to fields, each still raw, or the error to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from new_stack.api.http.schemas import payload_of
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob

Fields = Mapping[str, Raw]

_fields: Final = msgspec.json.Decoder(dict[str, Raw])
_any: Final = msgspec.json.Decoder()


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """The message is answered with an `error` that says this."""


def read_message(text: str) -> Fields:
    """The fields of one message. Raises Refusal with the hub's words where it is no JSON object."""
    try:
        if text.lstrip()[:1] == "{":
            return _fields.decode(text)
        found = _any.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Refusal("Invalid JSON format") from None
    except RecursionError:
        raise Refusal("Invalid JSON format: nested too deeply") from None
    # The hub lets Python's own words through; clients know them.
    raise Refusal(f"Server error processing message: {type(found).__name__!r} object has no attribute 'get'")


def value(fields: Fields, name: str, default: Any = None) -> Any:
    """One field, decoded; the default where it is absent. Raises Refusal for a number that no program can hold."""
    raw = fields.get(name)
    try:
        return default if raw is None else _any.decode(raw)
    except msgspec.DecodeError as error:
        raise Refusal(f"{name} cannot be read: {error}") from None


def text_field(fields: Fields, name: str) -> str | None:
    """A field that has to be text; None where it is absent, null or empty. Raises Refusal."""
    found = value(fields, name)
    if isinstance(found, str | None):
        return found or None
    raise Refusal(f"{name} must be text, not {spelled(found)}")


def job_id_of(fields: Fields) -> str:
    """The `job_id` that a message needs. Raises Refusal in the hub's words."""
    found = id_text(fields, "job_id")
    if found is None:
        raise Refusal(f"Missing job_id in {value(fields, 'type')} request")
    return found


def spelled(found: Any) -> str:
    """A value as a reader of the error would type it, cut short."""
    text = msgspec.json.encode(found).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def new_job(fields: Fields, client_id: str, *, id_field: str) -> NewJob:
    """The job in a submission over a WebSocket. Raises Refusal, naming the field: nothing of such a job is stored."""
    return NewJob(
        payload=_payload(fields),
        service_required=_service(fields),
        priority=whole(fields, "priority", -PRIORITY_LIMIT, PRIORITY_LIMIT) or 0,
        id=id_text(fields, id_field),
        client_id=client_id,
    )


def id_text(fields: Fields, name: str) -> str | None:
    """An id, which may come as a number; None where it is absent, null or empty. Raises Refusal."""
    found = value(fields, name)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return spelled(found)
    return text_field(fields, name)


def _payload(fields: Fields) -> Raw:
    """An object as it came; a text as the hub stores it: the object that it is the JSON of, or wrapped in one."""
    payload = payload_of(fields.get("payload", Raw(b"{}")))
    if payload is None:
        raise Refusal(f"payload must be a JSON object or text, not {spelled(value(fields, 'payload'))}")
    return payload


def _service(fields: Fields) -> str:
    name = "job_type" if "job_type" in fields else "service_required"
    found = value(fields, name, "unknown")
    if not isinstance(found, str) or not found:
        raise Refusal(f"{name} must be text, not {spelled(found)}")
    return found


def whole(fields: Fields, name: str, lowest: int, highest: int) -> int | None:
    """A field that has to be a whole number; None where it is absent. Raises Refusal."""
    found = value(fields, name)
    if found is None and name not in fields:
        return None
    whole = type(found) is int or (isinstance(found, float) and found.is_integer())
    if not whole or not lowest <= found <= highest:
        raise Refusal(f"{name} must be a whole number from {lowest} to {highest}, not {spelled(found)}")
    return int(found)
