"""What differs only because two systems work at their own pace, with workers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from harness.cassettes import Event, Receive, Response
from harness.cassettes.events import content_of, fields_of, saying
from harness.parity.comparison import ParityResult
from harness.parity.normalize import USER_DATA
from harness.protocols import ENDED_STATES, EventKind, JobState, hub
from harness.protocols.hub import STATES
from harness.results import Finding, FindingKind

OF_OTHERS: Final = frozenset({"worker_id", "position", "display_position", "position_description"})
"""What depends on which workers there are, and on the jobs of clients that are not followed."""
_WHOLE: Final = {FindingKind.MISSING, FindingKind.EXTRA}
_ORDER: Final = {JobState.PENDING: 0, JobState.CLAIMED: 1, **dict.fromkeys(ENDED_STATES, 2)}


def alike(event: Event) -> Event:
    """The event without what depends on others: of such a field only its kind is left."""
    return saying(event, _alike(content_of(event))) if isinstance(event, Receive | Response) else event


def _alike(value: Any) -> Any:
    if isinstance(value, list):
        return [_alike(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {name: _placeholder(name, part) for name, part in value.items()}


def _placeholder(name: str, value: Any) -> Any:
    if name in OF_OTHERS and value is not None and not isinstance(value, dict | list):
        return f"<{name}>"
    return value if name in USER_DATA else _alike(value)


def state_in(event: Event | None) -> JobState | None:
    """The state of its job that an answer shows; None for all else."""
    told = fields_of(event) if isinstance(event, Receive | Response) else {}
    is_answer = "job_id" in told if isinstance(event, Response) else told.get("type") == "response_job_status"
    return STATES.get(str(told.get("status"))) if is_answer else None


def marked(parity: ParityResult, expected: Sequence[Event], observed: Sequence[Event]) -> list[Finding]:
    """The findings, those that are a matter of time marked as noise.

    An answer about a job's state shows one moment. That the candidate was further then, or as far in the middle of the
    work, is none that a client could hold against it; what became of the job in the end is compared by itself. How far
    a job had come when it was cancelled is a matter of time, too.
    """
    found = []
    cancelled = _tells_cancel(expected) and _tells_cancel(observed)
    for finding in parity.findings:
        left, right = parity.rows[finding.row] if finding.row is not None else (None, None)
        ours = state_in(expected[left]) if left is not None else None
        theirs = state_in(observed[right]) if right is not None else None
        is_open = ours is not None and theirs is not None and ours not in ENDED_STATES
        ahead = is_open and _ORDER.get(theirs, -1) > _ORDER.get(ours, 3) if theirs and ours else False
        busy = ours is JobState.CLAIMED and theirs is JobState.CLAIMED
        work = cancelled and finding.kind in _WHOLE and _is_work(finding.observed or finding.expected)
        found.append(msgspec.structs.replace(finding, noise=ahead or busy or work))
    return found


def _tells_cancel(events: Sequence[Event]) -> bool:
    return any(state_in(event) is JobState.CANCELLED for event in events)


def _is_work(content: Any) -> bool:
    """Whether a message tells that a worker has the job, or how far it is."""
    event = hub.event_of(content) if isinstance(content, dict) else None
    return event is not None and event.kind in {EventKind.CLAIMED, EventKind.PROGRESS}


def is_behind(expected: Response, observed: Response) -> bool:
    """Whether the candidate's answer shows an earlier state of the job than the hub's."""
    ours, theirs = state_in(expected), state_in(observed)
    return ours is not None and theirs is not None and _ORDER.get(theirs, 3) < _ORDER.get(ours, -1)
