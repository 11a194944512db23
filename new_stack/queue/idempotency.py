"""Whether two submissions under one id are the same job: the digest of what they ask for."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from new_stack.queue.errors import InvalidJob
from new_stack.queue.jobs import NewJob

CANONICAL_LIMIT: Final = 65_536
"""Larger payloads, in bytes, are not brought into canonical form."""


class _Asked(msgspec.Struct):
    """Of a submitter's own fields those that say which worker may take the job, and when."""

    requirements: Any = None
    customer_id: Any = None
    workflow_priority: Any = None


_asked: Final = msgspec.json.Decoder(_Asked)
_syntax: Final = msgspec.json.Decoder(msgspec.Raw)


def digest_of(job: NewJob, retries: int) -> str:
    """The digest of a job that fails so often at most. Raises InvalidJob for a payload that is no JSON object."""
    digest = blake2b(_canonical_payload(job), digest_size=16)
    digest.update(f"\n{job.service_required}\n{job.priority}\n{retries}".encode())
    if job.retry_policy is not None or job.not_before is not None:
        digest.update(msgspec.json.encode([job.retry_policy, job.not_before]))
    if job.extra:
        digest.update(_canonical_wishes(bytes(job.extra)))
    return digest.hexdigest()


def _canonical_wishes(extra: bytes) -> bytes:
    """What the own fields say of who may take the job; nothing of the others, where a client may note what it likes."""
    try:
        asked = _asked.decode(extra)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return extra
    return b"" if asked == _Asked() else _sorted(msgspec.structs.astuple(asked), extra)


def _sorted(content: Any, text: bytes) -> bytes:
    """The content with its keys in order; its text where a whole number of more than 64 bits does not allow that."""
    try:
        return msgspec.json.encode(content, order="sorted")
    except OverflowError:
        return text


def _canonical_payload(job: NewJob) -> bytes:
    """The payload in one canonical form, so that key order and white space make no other job.

    A large one is the same only to the letter: to build its objects would take many times its size and stop the loop.
    """
    if len(memoryview(job.payload)) > CANONICAL_LIMIT:
        return _checked_payload(bytes(job.payload))
    try:
        content = msgspec.json.decode(job.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJob("payload", f"is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidJob("payload", "must be a JSON object")
    return _sorted(content, bytes(job.payload))


def _checked_payload(payload: bytes) -> bytes:
    """The payload, known to be a JSON object without building one."""
    try:
        _syntax.decode(payload)
        payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJob("payload", f"is not JSON: {error}") from None
    if payload.lstrip()[:1] != b"{":
        raise InvalidJob("payload", "must be a JSON object")
    return payload
