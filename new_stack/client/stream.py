"""The rules of following one job, whatever carries its stream: what to hand out, what to drop, where to go on."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from new_stack.client.errors import ClientError
from new_stack.client.sse import SseMessage
from new_stack.client.words import Gap, JobEvent

_ID: Final = re.compile(r"(\d+)-(\d+)")


class Disconnected(Exception):  # noqa: N818 - it says what is
    """The server broke the stream off in order, and says why; it can be resumed."""


class Cursor:
    """Where a reader stands in a job's stream. Each event passes once, and never backwards."""

    def __init__(self, job_id: str, after: str | None = None) -> None:
        self.job_id = job_id
        self.after = after
        self.ended = False

    def take(self, message: SseMessage) -> JobEvent | Gap | None:
        """The event that a message carries; None for one that was had before. Raises Disconnected, ClientError."""
        if message.event == "disconnect":
            raise Disconnected(_field(message.data, "reason"))
        if message.event == "gap":
            return Gap(job_id=self.job_id, reason=_field(message.data, "reason"), oldest=_field(message.data, "oldest"))
        try:
            event = msgspec.json.decode(message.data, type=JobEvent)
        except msgspec.ValidationError:
            return None  # a kind of event that this client does not know yet
        except msgspec.DecodeError as error:
            raise ClientError(f"the server sent an event that is not JSON: {error}") from error
        if message.id:
            if later(message.id, self.after):
                self.after = message.id
            elif not event.ending:
                return None  # an ending always counts: it may have been made up for a stream that was trimmed away
            event = msgspec.structs.replace(event, id=message.id)
        self.ended = event.ending
        return event


def later(new: str, old: str | None) -> bool:
    """Whether a stream's id comes after another one."""
    a, b = _ID.fullmatch(new), _ID.fullmatch(old or "")
    if a is None or b is None:
        return new != old
    return (int(a[1]), int(a[2])) > (int(b[1]), int(b[2]))


def _field(data: str, name: str) -> str:
    try:
        fields: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError:
        return ""
    return str(fields.get(name) or "")
