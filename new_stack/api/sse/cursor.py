"""Where a reader stands: the ids of stream entries, and what a cursor that it brings back means."""

from __future__ import annotations

from typing import Final

import msgspec

from new_stack.queue.events import ID_LIMIT, Event, EventKind, StreamId, parse_id

PAGE_BYTES: Final = 65_536
PAGE_EVENTS: Final = 500


def text_of(at: StreamId) -> str:
    """An id as Redis writes it."""
    return f"{at[0]}-{at[1]}"


def before(at: StreamId) -> str:
    """The id right before this one: reading after it begins with the entry itself."""
    ms, sequence = at
    if sequence:
        return f"{ms}-{sequence - 1}"
    return f"{ms - 1}-{ID_LIMIT - 1}" if ms else "0-0"


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """How a job's stream goes on: after which id of its history, and whether the reader has to know of a gap."""

    after: StreamId = (0, 0)
    gap: str | None = None
    complete: bool = True
    """Whether the history begins with the job's submission; else an ending may be missing from it."""


def resume(oldest: Event | None, found: Event | None, cursor: str | None) -> Resume:
    """Decide how a job's stream goes on: from the oldest event kept, the one at the reader's cursor, and the cursor."""
    complete = oldest is not None and oldest.kind is EventKind.SUBMITTED
    at = parse_id(cursor) if cursor else (0, 0)
    if at is None:
        return Resume(gap="malformed", complete=complete)
    if found is not None and parse_id(found.id) == at:
        return Resume(after=at, complete=complete)
    if at == (0, 0):
        return Resume(gap=None if complete else "trimmed", complete=complete)
    before_all = oldest is not None and at < (parse_id(oldest.id) or (0, 0))
    return Resume(gap="trimmed" if before_all and not complete else "unknown", complete=complete)


class PageSize:
    """How many events to read at once, so that a page is worth its call and yet small: a slow reader holds one."""

    def __init__(self) -> None:
        self.count = 16

    def adapt(self, size: int) -> None:
        """Choose the next count by the size in bytes of what the last page became."""
        if size > PAGE_BYTES:
            self.count = max(1, self.count // 2)
        elif size < PAGE_BYTES // 4:
            self.count = min(PAGE_EVENTS, self.count * 2)
