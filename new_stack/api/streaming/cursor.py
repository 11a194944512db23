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


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """What to send a reader first: a gap or none, then these events; `over` when it has had the ending already."""

    events: tuple[Event, ...]
    gap: str | None = None
    over: bool = False
    complete: bool = True
    """Whether the history begins with the job's submission; else an ending may be missing from it."""
    oldest: str = ""
    newest: str = ""
    """The ids between which the history lies: what is not newer has been sent, before or now."""


def resume(history: Sequence[Event], cursor: str | None) -> Resume:
    """Decide how a job's stream goes on, from its kept history and the reader's cursor."""
    found = _place(history, cursor)
    if isinstance(found, int):
        rest = tuple(history[found + 1 :])
        over = not rest and history[found].kind in ENDINGS
        return Resume(events=rest, over=over, complete=_complete(history), oldest=history[0].id, newest=history[-1].id)
    oldest, newest = (history[0].id, history[-1].id) if history else ("", "")
    return Resume(events=tuple(history), gap=found, complete=_complete(history), oldest=oldest, newest=newest)


def _complete(history: Sequence[Event]) -> bool:
    return bool(history) and history[0].kind is EventKind.SUBMITTED


def _place(history: Sequence[Event], cursor: str | None) -> int | str | None:
    """Where in the history the cursor stands; else which gap there is, None where the whole history is whole."""
    complete = _complete(history)
    at = parse_id(cursor) if cursor else (0, 0)
    if at is None:
        return "malformed"
    for index, event in enumerate(history):
        if parse_id(event.id) == at:
            return index
    if at == (0, 0):
        return None if complete else "trimmed"
    before_all = bool(history) and at < (parse_id(history[0].id) or (0, 0))
    return "trimmed" if before_all and not complete else "unknown"
