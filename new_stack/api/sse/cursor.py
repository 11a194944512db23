"""Where a reader stands: the ids of stream entries, and what a cursor that it brings back means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from new_stack.queue.events import ENDINGS, Event, EventKind

_ID: Final = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?")
_LIMIT: Final = 2**64

StreamId = tuple[int, int]


def parse_id(text: str) -> StreamId | None:
    """An entry's id as two numbers that sort; None where the text is none."""
    match = _ID.fullmatch(text)
    if match is None:
        return None
    ms, sequence = int(match[1]), int(match[2] or 0)
    return (ms, sequence) if ms < _LIMIT and sequence < _LIMIT else None


def before(at: StreamId) -> str:
    """The id right before this one: reading after it begins with the entry itself."""
    ms, sequence = at
    if sequence:
        return f"{ms}-{sequence - 1}"
    return f"{ms - 1}-{_LIMIT - 1}" if ms else "0-0"


class Resume(msgspec.Struct, frozen=True):
    """What to send a reader first: a gap or none, then these events; `over` when it has had the ending already."""

    events: tuple[Event, ...]
    gap: str | None = None
    over: bool = False


def resume(history: Sequence[Event], cursor: str | None) -> Resume:
    """Decide how a job's stream goes on, from its kept history and the reader's cursor."""
    whole = tuple(history)
    complete = bool(whole) and whole[0].kind is EventKind.SUBMITTED
    if not cursor:
        return Resume(whole, None if complete else "trimmed")
    at = parse_id(cursor)
    if at is None:
        return Resume(whole, "malformed")
    for index, event in enumerate(whole):
        if parse_id(event.id) == at:
            rest = whole[index + 1 :]
            return Resume(rest, over=not rest and event.kind in ENDINGS)
    if at == (0, 0):
        return Resume(whole, None if complete else "trimmed")
    if whole and not complete and at < (parse_id(whole[0].id) or (0, 0)):
        return Resume(whole, "trimmed")
    return Resume(whole, "unknown")
