"""The text of server-sent events (HTML standard, section 9.2): pure, bytes out."""

from __future__ import annotations

from typing import Final

import msgspec

from new_stack.api.views import event_view
from new_stack.queue.events import Event

KEEPALIVE: Final = b": keep-alive\n\n"

_encode = msgspec.json.Encoder().encode


def event_frame(event: Event) -> bytes:
    """One event of a job, with the stream's id as the cursor to resume from."""
    data = _encode(event_view(event))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.kind.value.encode(), _one_line(data))


def gap_frame(reason: str, oldest: str) -> bytes:
    """Tells the reader that events are missing, why, and which id is the oldest still kept.

    It carries no id: a reader that breaks off right after it resumes from where it was.
    """
    return b"event: gap\ndata: %b\n\n" % _encode({"reason": reason, "oldest": oldest})


def disconnect_frame(reason: str) -> bytes:
    """The last word before the server closes a stream that has not ended; the reader resumes from its id."""
    return b"event: disconnect\ndata: %b\n\n" % _encode({"reason": reason})


def opening(retry_ms: int) -> bytes:
    """How long a reader waits before it reconnects."""
    return b"retry: %d\n\n" % retry_ms


def _one_line(data: bytes) -> bytes:
    """Raw JSON of a job's result may be laid out over lines; each needs its own `data:`."""
    if b"\n" not in data and b"\r" not in data:
        return data
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"\ndata: ".join(lines)
