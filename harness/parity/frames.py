"""What each actor was told, as streams of frames, and which frames of a stream have an order between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from harness.cassettes.events import HTTP_ACTOR, INCOMING, Closed, Event, Incoming, Open, Receive, Response
from harness.cassettes.timers import sent_away_by_clock, timer_frames
from harness.parity.normalize import RunClock, normalized, normalized_frame

EVERYTHING: Final = "everything"
"""The order key of frames that have an order with all others of their stream."""
REPLIES: Final = "replies"

_SETTLED_FIRST: Final = frozenset({"connection_established", "connected", "closed", "response", "text"})
_REPLY_TYPES: Final = frozenset(
    {"job_accepted", "job_submitted", "subscription_confirmed", "job_assigned", "worker_registered"}
    | {"job_notifications_subscribed", "job_completed_ack", "job_failed_ack", "worker_heartbeat_ack"}
    | {"stay_alive_response", "error", "job_status", "subscribed", "unsubscribed"}
)


class ReceivedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an actor was told. `body` is normalised; `index` is the event's place in its transcript."""

    index: int
    actor: str
    role: str
    type: str
    body: Any
    order_keys: frozenset[str]

    @property
    def subject(self) -> Any:
        """The job it is about, or None."""
        return self.body.get("job_id") if isinstance(self.body, dict) else None


StreamKey = tuple[str, int]
"""Actor, and which of its connections, counted from 0."""
Streams = dict[StreamKey, list[ReceivedFrame]]


def streams(events: Sequence[Event], *, workers_by_facts: bool = False, began: float | None = None) -> Streams:
    """What every actor was told, by connection, without what only a clock had caused.

    With `workers_by_facts` a worker's frames are left out but for one fact: which jobs it was given, in what order. On
    a stack workers speak to Redis and not to the server. `began` is when the run began, in seconds since the epoch; as
    a default the events' own stamps tell it.
    """
    clock = RunClock(events, began)
    skipped, sent_away = timer_frames(events), sent_away_by_clock(events)
    found: Streams = defaultdict(list)
    for index, event, role, key in by_connection(events):
        if isinstance(event, Closed) and index in sent_away:
            event = msgspec.structs.replace(event, reason="")  # noqa: PLW2901 - as if it had left by itself
        if index not in skipped:
            by_facts = workers_by_facts and role == "worker"
            frame = claim_fact(index, event) if by_facts else frame_of(index, role, event, clock)
            if frame is not None:
                found[key].append(frame)
    return dict(found)


def by_connection(events: Sequence[Event]) -> Iterator[tuple[int, Incoming, str, StreamKey]]:
    """What every actor was told: its place, itself, the actor's role and its connection."""
    roles: dict[str, str] = {}
    connection: dict[str, int] = defaultdict(lambda: -1)
    for index, event in enumerate(events):
        if isinstance(event, Open):
            connection[event.actor] += 1
            roles[event.actor] = event.role.value
        elif isinstance(event, INCOMING):
            yield index, event, roles.get(event.actor, HTTP_ACTOR), (event.actor, max(connection[event.actor], 0))


def frame_of(index: int, role: str, event: Incoming, clock: RunClock | None = None) -> ReceivedFrame:
    """One event as a frame."""
    span = clock.span(event.at) if clock else None
    if isinstance(event, Closed):
        word, body = "closed", {"code": event.code, "reason": event.reason}
    elif isinstance(event, Response):
        text = {} if event.text is msgspec.UNSET else {"text": event.text}
        word, body = "response", {"status": event.status, "body": normalized(event.body, span=span), **text}
    elif isinstance(event.content, dict) and event.message is not msgspec.UNSET:
        word, body = str(event.content.get("type")), normalized_frame(event.content, span)
    else:
        word, body = "text", {"text": event.content}
    return ReceivedFrame(
        index=index, actor=event.actor, role=role, type=word, body=body, order_keys=order_keys_of(word, body)
    )


def claim_fact(index: int, event: Incoming) -> ReceivedFrame | None:
    """That a worker was given a job, and what job, or None for everything else a worker was told. Of one that was given
    in pieces only the id can be told.
    """
    if not isinstance(event, Receive) or not isinstance(event.content, dict):
        return None
    message = event.content
    whole = message.get("type") == "job_assigned"
    first_piece = message.get("original_type") == "job_assigned" and message.get("chunk_id") == 0
    if not whole and not first_piece:
        return None
    told = ("job_id", "job_type", "priority", "params") if whole else ("job_id",)
    body = {"type": "job_assigned", **{name: message[name] for name in told if name in message}}
    return ReceivedFrame(
        index=index,
        actor=event.actor,
        role="worker",
        type="job_assigned",
        body=body,
        order_keys=frozenset({EVERYTHING}),
    )


def order_keys_of(word: str, body: Any) -> frozenset[str]:
    """The order keys of a frame: two frames of one stream have an order where they share one.

    Frames of one job share its key, answers to the actor's own messages another; a frame of one job and a frame
    of another commute.
    """
    if word in _SETTLED_FIRST or not isinstance(body, dict):
        return frozenset({EVERYTHING})
    order_keys = set()
    if isinstance(job := body.get("job_id"), str):
        order_keys.add(f"job {job}")
    if word in _REPLY_TYPES or (word == "response_job_status" and body.get("status") != "processing"):
        order_keys.add(REPLIES)
    if word == "job_available":
        order_keys.add("offers")
    if word in {"stats_broadcast", "ack"}:
        order_keys.add(str(body.get("original_type", word)))
    if not order_keys:
        order_keys.add(f"worker {body['worker_id']}" if isinstance(body.get("worker_id"), str) else REPLIES)
    return frozenset(order_keys)
