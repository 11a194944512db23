"""What a submission over a WebSocket may say that the hub's did not: retries, a time, fields of its own, a flat id."""

from __future__ import annotations

from typing import Final

import msgspec

from new_stack.api.legacy.messages import Fields, Refusal, value, whole
from new_stack.api.modern.schemas import extra_of
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob
from new_stack.queue.retry_policy import RetryPolicy

RETRIES_LIMIT: Final = 1_000


def with_more_fields(job: NewJob, fields: Fields) -> NewJob:
    """The job with all of that. Raises Refusal, naming the field."""
    return msgspec.structs.replace(
        job,
        id=job.id or _text_id(fields),
        max_retries=_whole_or_null(fields, "max_retries", RETRIES_LIMIT),
        retry_policy=_retry_policy(fields),
        not_before=_whole_or_null(fields, "not_before", PRIORITY_LIMIT),
        extra=extra_of(fields),
    )


def _text_id(fields: Fields) -> str | None:
    """The `id` with which pages of the later dialect submit a flat job; a number there only counts messages."""
    found = value(fields, "id")
    return found if isinstance(found, str) and found else None


def _whole_or_null(fields: Fields, name: str, highest: int) -> int | None:
    return None if value(fields, name) is None else whole(fields, name, 0, highest)


def _retry_policy(fields: Fields) -> RetryPolicy | None:
    raw = fields.get("retry_policy")
    try:
        return None if raw is None else msgspec.json.decode(raw, type=RetryPolicy | None)
    except msgspec.DecodeError as error:
        raise Refusal(f"retry_policy: {error}") from None
