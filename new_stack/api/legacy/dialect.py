"""What a dialect of clients is: a table from messages to actions, and one from what was done to the frame that says it.

The session does the actions and knows no dialect's words; `hub.py` and `v2/client.py` have a table each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final

import msgspec

from new_stack.api.http.http_io import encode
from new_stack.api.legacy.messages import Fields, Refusal, job_id_of, new_job, text_field, value
from new_stack.queue.events import Event
from new_stack.queue.jobs import Job, NewJob, Submission

MANUALLY: Final = "Manually cancelled"

Frame = dict[str, Any]


class Action(Enum):
    """What a message asks for."""

    SUBMIT = auto()
    STATUS = auto()
    SUBSCRIBE = auto()
    UNSUBSCRIBE = auto()
    CANCEL = auto()
    RETRY = auto()
    ALIVE = auto()
    SUBSCRIBE_STATS = auto()
    SYNC = auto()


WITHOUT_JOB: Final = frozenset({Action.SUBMIT, Action.ALIVE, Action.SUBSCRIBE_STATS})
"""Every other action names a job."""


class Request(msgspec.Struct, frozen=True):
    """A message, read."""

    action: Action
    job_id: str = ""
    reason: str = MANUALLY
    job: NewJob | None = None
    message_id: Any = None
    """What the client calls its message, in whatever type it came."""


def as_text(event: Callable[[Event], Frame | None]) -> Callable[[Event], str]:
    """A dialect's frame for an event as JSON, empty where there is none."""

    def text(happened: Event) -> str:
        frame = event(happened)
        return "" if frame is None else encode(frame).decode()

    return text


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one dialect. `now` is in seconds since the epoch; each frame is written for the client."""

    actions: Mapping[str, Action]
    refused: Mapping[str, str] = {}
    """Messages that are refused with a sentence of their own."""
    id_field: str
    """Where a submission has the job's id."""
    submission: Callable[[Fields], Fields] = lambda fields: fields
    """Where a submission has the job. Raises Refusal."""
    follows_own_jobs: bool
    """Whether a client hears of its own jobs without a subscription."""

    greeting: Callable[[str, float], Frame]
    accepted: Callable[[Submission, Any, float], Frame]
    status: Callable[[Job, float], Frame]
    subscribed: Callable[[str, float], Frame]
    cancelled: Callable[[Job, float], Frame]
    retried: Callable[[Job, float], Frame]
    not_retried: Callable[[Job, float], Frame]
    """The answer to a retry of a job that has not ended or has completed: nothing was changed."""
    alive: Callable[[float], Frame]
    error: Callable[[str, Any, float], Frame]
    """From the sentence and what the client calls the message that it answers."""
    event: Callable[[Event], Frame | None]
    """The one frame that a subscriber gets for an event; None for what clients are not sent."""
    text: Callable[[Event], str]
    """The same as JSON, empty for none: the same function for all subscribers, so that they share what it made."""
    unsubscribed: Callable[[str, float], Frame] | None = None
    stats_subscribed: Callable[[float], Frame] | None = None

    def read(self, fields: Fields, client_id: str) -> Request:
        """What a client's message asks for. Raises Refusal, in the hub's words where it has any."""
        kind = value(fields, "type")
        action = self.actions.get(kind) if isinstance(kind, str) else None
        if action is None:
            raise Refusal(self.refused.get(str(kind), f"Unsupported message type: {kind}"))
        if action is Action.SUBMIT:
            job = new_job(self.submission(fields), client_id, id_field=self.id_field)
            return Request(action, job=job, message_id=value(fields, "id"))
        if action in WITHOUT_JOB:
            return Request(action)
        reason = text_field(fields, "reason") if action is Action.CANCEL else None
        return Request(action, job_id_of(fields, kind), reason or MANUALLY)
