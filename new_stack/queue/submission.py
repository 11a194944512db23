"""What may be submitted, and what makes two submissions the same."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from new_stack.queue.errors import InvalidJob
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob

NAME_LIMIT: Final = 256
"""Longest id, service and client id, in characters."""

RETRIES_LIMIT: Final = 1000


class Checked(msgspec.Struct, frozen=True):
    """A submission that can be a job."""

    job: NewJob
    digest: str


def check(job: NewJob, *, payload_limit: int, default_retries: int) -> Checked:
    """Refuse what cannot be a job. Raises InvalidJob, which names the field."""
    _check_name("service_required", job.service_required)
    if job.id is not None:
        _check_name("id", job.id)
    if job.client_id is not None:
        _check_name("client_id", job.client_id)
    _check_whole("priority", job.priority, -PRIORITY_LIMIT, PRIORITY_LIMIT)
    retries = default_retries if job.max_retries is None else job.max_retries
    _check_whole("max_retries", retries, 0, RETRIES_LIMIT)
    return Checked(job=job, digest=_digest(job, _payload(job, payload_limit), retries))


def _check_name(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidJob(field, "must be text")
    if not value.strip():
        raise InvalidJob(field, "must not be empty")
    if len(value) > NAME_LIMIT:
        raise InvalidJob(field, f"must not be longer than {NAME_LIMIT} characters")
    if not value.isprintable():
        raise InvalidJob(field, "must not contain control characters")


def _check_whole(field: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidJob(field, "must be a whole number")
    if not least <= value <= most:
        raise InvalidJob(field, f"must be from {least} to {most}")


def _payload(job: NewJob, limit: int) -> bytes:
    """The payload in one canonical form, so that key order and white space make no other job."""
    size = len(memoryview(job.payload))
    if size > limit:
        raise InvalidJob("payload", f"is {size} bytes long; the limit is {limit}")
    try:
        content = msgspec.json.decode(job.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJob("payload", f"is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidJob("payload", "must be a JSON object")
    try:
        return msgspec.json.encode(content, order="sorted")
    except OverflowError:  # a whole number of more than 64 bits: such a payload is the same only to the letter
        return bytes(job.payload)


def _digest(job: NewJob, payload: bytes, retries: int) -> str:
    digest = blake2b(payload, digest_size=16)
    digest.update(f"\n{job.service_required}\n{job.priority}\n{retries}".encode())
    return digest.hexdigest()
