"""Decodes the replies of Redis into the queue's types: fields arrive as text, and msgspec gives each its type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from new_stack.queue.events import Event
from new_stack.queue.jobs import Job, Lease, QueueCounts, Unmet, WorkerInfo, WorkerReport

S = TypeVar("S", bound=msgspec.Struct)

RAW_JSON: Final = frozenset({"payload", "result", "extra"})
COUNT_FIELDS: Final = ("pending", "claimed", "completed", "failed", "cancelled", "delayed")


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
        (fields | {"payload": payload or fields.get("payload", b"")} | _some("result", result)).items(),
        id=job_id.decode(),
        **known,
    )


def _some(name: str, body: bytes) -> dict[str, bytes]:
    return {name: body} if body else {}


def leases_of(worker_id: str, rows: Iterable[Sequence[Any]]) -> list[Lease]:
    """The rows of a claim's reply. What makes no sense is left out: its lease runs out, until it fails for that."""
    leases: list[Lease] = []
    for row in rows:
        with suppress(AttributeError, TypeError, UnicodeDecodeError):
            leases.append(_lease_of(worker_id, row))
    return leases


def _lease_of(worker_id: str, row: Sequence[Any]) -> Lease:
    """Field by field: every job passes here on its way to a worker."""
    job_id, attempt, service, payload, priority, client_id, max_retries, failures, expires_at, *more = row
    alone, extra, limit = more[:3]  # a newer library may say more
    return Lease(
        job_id=job_id.decode(),
        attempt=attempt,
        service_required=service.decode("utf-8", "replace"),
        payload=msgspec.Raw(payload or b"{}"),
        priority=priority,
        client_id=client_id.decode("utf-8", "replace") or None,
        max_retries=max_retries,
        failures=failures,
        expires_at=expires_at,
        alone=alone == b"1",
        extra=msgspec.Raw(extra) if extra else None,
        timeout_ms=limit or None,
        worker_id=worker_id,
    )


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
    return WorkerInfo(
        report=report,
        registered_at=int(row[2]),
        seen_at=int(row[3]),
        alive=row[4] == b"1",
        draining_since=int(row[5]) if row[5] else None,
    )


def counts_of(reply: Sequence[Any]) -> QueueCounts:
    """The reply of `count`."""
    *numbers, services, untaken, urgent, paused = reply
    rows = [(name.decode(), int(since), count, example.decode()) for name, since, count, example in untaken]
    return QueueCounts(
        by_service={name: int(count) for name, count in pairs(services)},
        urgent=int(urgent),
        unserved={name: since for name, since, _, example in rows if not example},
        unmet={name: Unmet(since=since, jobs=n, example=example) for name, since, n, example in rows if example},
        paused={name: int(since) for name, since in pairs(paused)},
        **dict(zip(COUNT_FIELDS, numbers, strict=True)),
    )


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
    except (ValueError, msgspec.ValidationError):
        return None
    return msgspec.structs.replace(found, **raw) if raw else found  # msgspec does not convert to `Raw | None`
