"""Causes and effects in a recording: what follows from an action, what an action waited for, what was meant."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from harness.cassettes import Event, Open, Outgoing, Receive, Request, Role, Send, kind_of
from harness.cassettes.events import fields_of
from harness.cassettes.timers import STATS

_GREETINGS: Final = frozenset({"connection_established", STATS, "ack"})
_AT_ONCE_MS: Final = 100.0


def greetings_of(events: Sequence[Event], index: int) -> list[int]:
    """What the actor that opens a connection at that place receives for that alone. The state that it shows is that of
    its moment: nobody else may do anything before it has come.
    """
    opened, found = events[index], []
    for place in range(index + 1, len(events)):
        event = events[place]
        if event.actor != opened.actor:
            continue
        word = fields_of(event).get("type")
        if not isinstance(event, Receive) or word not in _GREETINGS or event.at - opened.at > _AT_ONCE_MS:
            break
        found.append(place)
    return found


def effects_of(events: Sequence[Event], index: int) -> list[int]:
    """What the recording has between an action and the next one."""
    following = range(index + 1, len(events))
    end = next((place for place in following if isinstance(events[place], Outgoing)), len(events))
    return list(range(index + 1, end))


def recorded_wait_ms(events: Sequence[Event], place: int) -> float:
    """How long, in the recording, the event came after the last action before it."""
    before = (events[earlier] for earlier in range(place - 1, -1, -1))
    return events[place].at - next((event.at for event in before if isinstance(event, Outgoing)), 0.0)


def chosen_ids(events: Sequence[Event]) -> list[str]:
    """The job ids that actors chose themselves, by submitting."""
    found: dict[str, None] = {}
    for event in events:
        if isinstance(event, Request) or sent(event) == "submit_job":
            named = [fields_of(event).get(field) for field in ("message_id", "job_id", "id")]
            found |= {name: None for name in named if isinstance(name, str) and name}
    return list(found)


def services_of(events: Sequence[Event]) -> list[str]:
    """The services that actors name: of the jobs that they submit, and those that workers serve."""
    found: dict[str, None] = {}
    for content in _said(events):
        capabilities = content.get("capabilities")
        served = capabilities.get("supported_job_types") if isinstance(capabilities, dict) else None
        named = [
            content.get("job_type"),
            content.get("service_required"),
            *(served if isinstance(served, list) else ()),
        ]
        found |= {name: None for name in named if isinstance(name, str) and name}
    return list(found)


def connected_ids(events: Sequence[Event]) -> list[str]:
    """The ids under which clients and workers connect: the end of their path."""
    opened = [event for event in events if isinstance(event, Open) and event.role in {Role.CLIENT, Role.WORKER}]
    ids = (event.path.partition("?")[0].rpartition("/")[2] for event in opened)
    return [own_id for own_id in dict.fromkeys(ids) if own_id]


def submits_without_service(events: Sequence[Event]) -> bool:
    """Whether a job is submitted whose service is left to the hub, which then calls it `unknown`, or is no text: then
    the hub keeps it as one, and tells nobody of the job.
    """
    submitted = (content for content in _said(events) if content.get("type") == "submit_job")
    return any(not isinstance(service := content.get("job_type"), str) or not service for content in submitted)


def _said(events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    yield from (fields_of(event) for event in events if isinstance(event, Send | Request))


def granted_claims(events: Sequence[Event]) -> frozenset[int]:
    """The places of the claims whose jobs the hub gave.

    A worker may have asked for several jobs, and for one several times: the hub answers in that order.
    """
    asked: dict[str, dict[str, deque[int]]] = defaultdict(lambda: defaultdict(deque))
    granted: set[int] = set()
    for place, event in enumerate(events):
        content, own = fields_of(event), asked[event.actor]
        if isinstance(event, Open):
            own.clear()
        elif is_claim(event):
            own[str(content.get("job_id"))].append(place)
        elif isinstance(event, Receive) and content.get("type") == "error":
            for places in (places for job, places in own.items() if places and _names(content, job)):
                places.popleft()
        elif isinstance(event, Receive) and "job_assigned" in {content.get("type"), content.get("original_type")}:
            whole = content.get("type") == "job_assigned" or content.get("chunk_id") == 0
            places = own[str(content.get("job_id"))]
            if whole and places:
                granted.add(places.popleft())
    return frozenset(granted)


def _names(error: dict[str, Any], job: str) -> bool:
    return re.search(rf"\bjob {re.escape(job)}(:|$)", str(error.get("error"))) is not None


def sent(event: Event) -> str:
    """The kind of a message that an actor sends; empty for everything else."""
    return str(fields_of(event).get("type")) if isinstance(event, Send) else ""


def is_claim(event: Event) -> bool:
    """Whether a worker asks for a job by it."""
    return sent(event) == "claim_job"


def job_of(event: Event) -> str | None:
    """The job that it is about, in the words of a client, a worker or the hub."""
    content = fields_of(event)
    named = content.get("job_id")
    if named is None and (sent(event) == "submit_job" or isinstance(event, Request)):
        named = content.get("message_id") or content.get("id")
    return named if isinstance(named, str) else None


def kind_and_actor(event: Event) -> str:
    """What kind of event it is and whose, in a few words."""
    if isinstance(event, Receive):
        return f"{fields_of(event).get('type') if isinstance(event.content, dict) else 'a text'} to {event.actor}"
    return f"{kind_of(event)} of {event.actor}"


def described(event: Event) -> str:
    """A recorded event in a few words, for an incident."""
    return f"{kind_and_actor(event)} (recorded at {event.at:g} ms)"
