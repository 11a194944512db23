"""Causes and effects in a recording: what follows from an action, what an action waited for, what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from harness.cassettes import Event, Open, Outgoing, Receive, Request, Role, Send, kind_of
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
        word = event.content.get("type") if isinstance(event, Receive) and isinstance(event.content, dict) else None
        if word not in _GREETINGS or event.at - opened.at > _AT_ONCE_MS:
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
        content = event.content if isinstance(event, Send) else event.body if isinstance(event, Request) else None
        if not isinstance(content, dict):
            continue
        submits = isinstance(event, Request) or content.get("type") == "submit_job"
        for field in ("message_id", "job_id", "id"):
            if submits and isinstance(content.get(field), str) and content[field]:
                found[content[field]] = None
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
    for event in events:
        content = event.content if isinstance(event, Send) else event.body if isinstance(event, Request) else None
        if isinstance(content, dict):
            yield content


def claim_was_granted(events: Sequence[Event], index: int) -> bool:
    """Whether the hub gave the job that the worker's `claim_job` at that place asked for."""
    actor = events[index].actor
    for event in events[index + 1 :]:
        if event.actor != actor:
            continue
        if not isinstance(event, Receive) or not isinstance(event.content, dict):
            return False
        if "job_assigned" in {event.content.get("type"), event.content.get("original_type")}:
            return True
        if event.content.get("type") == "error":
            return False
    return False


def kind_and_actor(event: Event) -> str:
    """What kind of event it is and whose, in a few words."""
    if isinstance(event, Receive):
        return f"{event.content.get('type') if isinstance(event.content, dict) else 'a text'} to {event.actor}"
    return f"{kind_of(event)} of {event.actor}"


def described(event: Event) -> str:
    """A recorded event in a few words, for an incident."""
    return f"{kind_and_actor(event)} (recorded at {event.at:g} ms)"
