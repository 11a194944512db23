"""How often, when and after which errors a job runs again: what a submitter may say of its own job."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from new_stack.queue.errors import InvalidJob

DAY_MS: Final = 86_400_000

Ms = Annotated[int, Meta(ge=1, le=365 * DAY_MS)]


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One job's own policy; what is absent is as the queue has it. Times are ms."""

    attempts: Annotated[int, Meta(ge=1, le=1_001)] | None = None
    """How often it runs at most, the first time included."""
    backoff_base_ms: Annotated[int, Meta(ge=0, le=DAY_MS)] | None = None
    """The pause after the first failure."""
    backoff_factor: Annotated[float, Meta(ge=1, le=100)] | None = None
    """By how much it grows with each further one."""
    backoff_cap_ms: Annotated[int, Meta(ge=0, le=30 * DAY_MS)] | None = None
    backoff_jitter: Annotated[float, Meta(ge=0, le=1)] | None = None
    """0.1: up to a tenth shorter or longer, by chance."""
    retry_on: Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(max_length=32)] | None = None
    """The only errors after which it runs again: names of exception classes, or patterns with `*` for the text."""
    timeout_ms: Ms | None = None
    """How long one attempt may take; a worker's own limit holds besides."""
    deadline_ms: Ms | None = None
    """How long after its submission it has to be done: then it fails for good."""


def retries_of(policy: RetryPolicy | None, asked: int | None, usual: int) -> int:
    """How many failures may be followed by another attempt. Raises InvalidJob where the job says two things."""
    attempts = None if policy is None else policy.attempts
    if attempts is None:
        return usual if asked is None else asked
    if asked not in (None, attempts - 1):
        raise InvalidJob("retry_policy.attempts", f"is {attempts}, but max_retries is {asked}: one less")
    return attempts - 1
