"""What a dialect of clients is: where a submission has what, and a table from what was done to the frame that says it.

The sessions do what is asked for and know no dialect's words; `hub.py` and `v2/client.py` have a table each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from new_stack.api.http.http_io import encode
from new_stack.api.legacy.messages import Fields, new_job
from new_stack.api.modern.more_fields import with_more_fields
from new_stack.queue.events import Event
from new_stack.queue.jobs import Job, NewJob, Submission

Frame = dict[str, Any]


def as_text(event: Callable[[Event], Frame | None]) -> Callable[[Event], str]:
    """A dialect's frame for an event as JSON, empty where there is none."""

    def text(happened: Event) -> str:
        frame = event(happened)
        return "" if frame is None else encode(frame).decode()

    return text


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one dialect. `now` is in seconds since the epoch; each frame is written for the client."""

    id_field: str
    """Where a submission has the job's id."""
    submission: Callable[[Fields], Fields] = lambda fields: fields
    """Where a submission has the job. Raises Refusal."""
    follows_own_jobs: bool
    """Whether a client hears of its own jobs without a subscription."""

    answers: Mapping[str, Callable[[float], Frame]]
    """The messages that nothing is done for but to answer them."""
    greeting: Callable[[str, float], Frame]
    accepted: Callable[[Submission, Any, float], Frame]
    status: Callable[[Job, float], Frame]
    subscribed: Callable[[str, float], Frame]
    cancelled: Callable[[Job, float], Frame]
    retried: Callable[[Job, bool, float], Frame]
    """Whether anything was changed is said as well: a job that has not ended, or has completed, is left as it is."""
    error: Callable[[str, Any, float], Frame]
    """From the sentence and what the client calls the message that it answers."""
    text: Callable[[Event], str]
    """The one frame that a subscriber gets for an event, as JSON; empty for what clients are not sent.

    The same function for all subscribers, so that they share what it made.
    """

    def job(self, fields: Fields, client_id: str) -> NewJob:
        """The job in a submission. Raises Refusal, naming the field."""
        said = self.submission(fields)
        return with_more_fields(new_job(said, client_id, id_field=self.id_field), said)
