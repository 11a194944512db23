"""The simulation script that a payload carries, as the hub's workers play it: the stack's play the same one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

DEFAULT_STEPS: Final = (25, 50, 75, 100)
DEFAULT_PAUSE_MS: Final = 10.0


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step; what is given happens in this order."""

    sleep_ms: float | None = None
    progress: float | None = None
    message: str | None = None
    stamp: bool = False
    """With `progress`: tell when it was sent, in `sent_at`, seconds since the epoch."""
    fail: str | None = None
    attempts: int | None = None
    """With `fail`: how many attempts fail; without it, all."""
    result: Any = msgspec.UNSET
    hang: bool = False


def steps_of(payload: Any) -> list[Step]:
    """The steps of a payload's script; one without a script makes a few and succeeds. Raises ValueError."""
    if not isinstance(payload, dict) or "simulate" not in payload:
        return [Step(sleep_ms=DEFAULT_PAUSE_MS, progress=percent) for percent in DEFAULT_STEPS]
    try:
        return msgspec.convert(payload["simulate"], list[Step])
    except msgspec.ValidationError as error:
        raise ValueError(f"payload.simulate is not a script: {error}") from error
