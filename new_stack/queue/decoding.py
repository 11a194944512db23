"""Decodes the replies of Redis into the queue's types: fields arrive as text, and msgspec gives each its type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from new_stack.queue.events import Event
from new_stack.queue.jobs import Job, Lease, QueueCounts, WorkerInfo, WorkerReport
from new_stack.queue.unmet import untaken_of

S = TypeVar("S", bound=msgspec.Struct)

RAW_JSON: Final = frozenset({"payload", "result", "extra"})
LEASE_FIELDS: Final = Lease.__struct_fields__.index("payload")
"""How many fields of a lease a claim says in one: all but its bodies."""
WORKER_FIELDS: Final = ("registered_at", "seen_at", "alive", "draining_since")

_values: Final = msgspec.msgpack.Decoder(list[Any])


def pairs(flat: Sequence[Any]) -> Iterable[tuple[str, Any]]:
    """A flat field, value, … reply as pairs."""
    names = iter(flat)
    return ((name.decode(), value) for name, value in zip(names, names, strict=True))


def job_of(row: Sequence[bytes], **known: Any) -> Job | None:
    """A record's row; None where there is none, or one that makes no sense (a claim sets it aside)."""
    if not row:
        return None
    job_id, packed, payload, result = row
    try:
        fields = msgspec.msgpack.decode(packed, type=dict[str, Any])
    except (ValueError, msgspec.DecodeError):
        return None
    return _struct(
        Job,
        (fields | {name: body for name, body in (("payload", payload), ("result", result)) if body}).items(),
        id=job_id.decode(),
        **known,
    )


def leases_of(rows: Iterable[Sequence[bytes]]) -> list[Lease]:
    """The rows of a claim's reply. What makes no sense is left out: its lease runs out, until it fails for that."""
    leases: list[Lease] = []
    for packed, payload, extra, *_ in rows:
        with suppress(TypeError, ValueError, msgspec.DecodeError):
            *held, client_id, timeout_ms = _values.decode(packed)[:LEASE_FIELDS]  # a newer library may say more
            bodies = (msgspec.Raw(payload or b"{}"), msgspec.Raw(extra) if extra else None)
            leases.append(Lease(*[*held, client_id or None, timeout_ms or None, *bodies]))
    return leases


def event_of(entry_id: bytes, flat: Sequence[bytes]) -> Event | None:
    """One entry of a stream; None where somebody else wrote something of another shape there."""
    try:
        fields = dict(pairs(flat))
        details = msgspec.json.decode(fields.pop("details", b"null"), type=dict[str, Any] | None)
    except (ValueError, msgspec.DecodeError):
        return None
    return _struct(Event, fields.items(), id=entry_id.decode(), details=details)


def worker_of(row: Sequence[Any]) -> WorkerInfo | None:
    """One row of the workers' reply; None for a report that makes no sense."""
    try:
        report = msgspec.json.decode(row[1], type=WorkerReport)
    except msgspec.DecodeError:
        return None
    return _struct(WorkerInfo, zip(WORKER_FIELDS, row[2:], strict=False), report=report)


def counts_of(reply: Sequence[Any]) -> QueueCounts:
    """The reply of `count`."""
    facts: dict[str, Any] = dict(pairs(reply))
    untaken = untaken_of(facts.pop("untaken"))
    for name in ("by_service", "paused"):
        facts[name] = {service: int(number) for service, number in pairs(facts[name])}
    return QueueCounts(**facts, **untaken)


def _struct(kind: type[S], fields: Iterable[tuple[str, Any]], **known: Any) -> S | None:
    """The fields as a struct, empty ones as absent; None where they do not make one."""
    values: dict[str, Any] = {}
    raw: dict[str, msgspec.Raw] = {}
    try:
        for name, value in fields:
            if name in RAW_JSON and value:
                raw[name] = msgspec.Raw(value.encode() if isinstance(value, str) else value)
            elif value not in (b"", ""):
                values[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        found = msgspec.convert(values | known, kind, strict=False)
    except (TypeError, ValueError, msgspec.ValidationError):
        return None
    return msgspec.structs.replace(found, **raw) if raw else found  # msgspec does not convert to `Raw | None`
