"""The simulation script that a payload carries: what the job's worker does, and what a client can expect of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from harness.protocols.events import EventKind

DEFAULT_STEPS: Final = (25, 50, 75, 100)
DEFAULT_PAUSE_MS: Final = 10.0
MAX_RETRIES: Final = 3
"""Attempts after the first that a job has, on the hub and by default on the stack."""
STAMP: Final = "sent_at"
"""Where the worker of a step with `stamp` writes its send time, in the details of the progress."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step; what is given happens in this order."""

    sleep_ms: float | None = None
    progress: float | None = None
    message: str | None = None
    stamp: bool = False
    """With `progress`: write when it was sent into `sent_at`, seconds since the epoch."""
    fail: str | None = None
    attempts: int | None = None
    """With `fail`: how many attempts fail; without it, all."""
    result: Any = msgspec.UNSET
    hang: bool = False
    crash: bool = False
    """The worker's process kills itself; only a worker of the harness on the stack does."""

    def fails(self, attempt: int) -> bool:
        """Whether the attempt of that number, counted from 1, ends here."""
        return self.fail is not None and (self.attempts is None or attempt <= self.attempts)


def steps_of(payload: Any) -> list[Step]:
    """The steps of a payload's script; one without a script makes a few and succeeds. Raises ValueError."""
    if not isinstance(payload, dict) or "simulate" not in payload:
        return [Step(sleep_ms=DEFAULT_PAUSE_MS, progress=percent) for percent in DEFAULT_STEPS]
    try:
        return msgspec.convert(payload["simulate"], list[Step])
    except msgspec.ValidationError as error:
        raise ValueError(f"payload.simulate is not a script: {error}") from error


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What a script promises when nobody interferes."""

    steps: tuple[float, ...] | None = None
    """The progress of the attempt that ends the job, in order; None where there is no script."""
    end: EventKind | None = None
    hangs: bool = False
    """The script never ends by itself."""


NOTHING_EXPECTED: Final = Expectation()


def expectation_of(payload: object) -> Expectation:
    """What the script in a payload promises; nothing where there is none, or none that a worker could play."""
    if not isinstance(payload, dict) or "simulate" not in payload:
        return NOTHING_EXPECTED
    try:
        script = steps_of(payload)
    except ValueError:
        return NOTHING_EXPECTED
    steps: list[float] = []
    result: Any = None
    for step in script:
        if step.progress is not None:
            steps.append(step.progress)
        if step.fails(MAX_RETRIES + 1):
            return Expectation(steps=tuple(steps), end=EventKind.FAILED)
        if step.crash:
            return Expectation(steps=tuple(steps), end=EventKind.FAILED)
        if step.hang:
            return Expectation(steps=tuple(steps), hangs=True)
        if step.result is not msgspec.UNSET:
            result = step.result
    end = EventKind.FAILED if reports_failure(result) else EventKind.COMPLETED
    return Expectation(steps=tuple(steps), end=end)


def reports_failure(result: object) -> bool:
    """Whether a connector with that result has failed, as the stack understands it."""
    if not isinstance(result, dict):
        return False
    return result.get("success") is False or result.get("status") in ("failed", "error")


def sent_at(details: object) -> float | None:
    """The worker's send time in the details of a progress, if it is there."""
    stamp = details.get(STAMP) if isinstance(details, dict) else None
    return float(stamp) if isinstance(stamp, int | float) and not isinstance(stamp, bool) else None
