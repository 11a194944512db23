"""What a worker has to do so that its job goes as it went in a recording."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

from harness.cassettes.conversation import WORK, Hearing
from harness.protocols import EventKind, JobEvent, JobState

MOST_PAUSE_MS: Final = 250.0
NEVER_ENDS: Final = [{"sleep_ms": MOST_PAUSE_MS}] * 240
"""A minute in which a job that the recording cancels, or leaves running, does not end."""


def script_of(heard: Sequence[Hearing]) -> list[dict[str, Any]]:
    """What a worker does, by what one client was told of a job: attempts that fail in the same place, then the last."""
    failures = [step for step in heard if step.event.kind in {EventKind.ATTEMPT_FAILED, EventKind.FAILED}]
    first = heard[: heard.index(failures[0])] if failures else heard
    last = heard[heard.index(failures[-1]) + 1 :] if failures else []
    steps, again = _updates(first), any(step.event.kind in WORK for step in last)
    for number, failure in enumerate(failures, 1):  # the attempt of that number ends there
        once = {"attempts": number} if again or number < len(failures) else {}
        steps.append({"fail": failure.event.error or "failed", **once})
    steps += _updates(last)[len(_updates(first)) :]
    ended = [step.event for step in heard if step.event.kind is EventKind.COMPLETED or is_done(step.event)]
    if failures and not again:
        return steps
    return [*steps, {"result": ended[0].result}] if ended else [*steps, *NEVER_ENDS]


def is_done(event: JobEvent) -> bool:
    """Whether somebody who asked was answered that the job has completed."""
    return event.kind is EventKind.STATUS and event.state is JobState.COMPLETED


def _updates(heard: Sequence[Hearing]) -> list[dict[str, Any]]:
    """The progress, with the pauses before it."""
    steps: list[dict[str, Any]] = []
    for before, step in itertools.pairwise([*heard[:1], *heard]):
        if step.event.kind is EventKind.PROGRESS:
            pause_ms = min(MOST_PAUSE_MS, max(0.0, step.at - before.at))
            steps += [{"sleep_ms": round(pause_ms)}, {"progress": step.event.progress}]
    return steps
