"""What the clients of a test said and heard, as text: of one server, or of the hub beside the stack."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from harness.cassettes import Event, Open, Receive, Role, Send
from harness.clients import RecordingSocket
from harness.parity import parity_of

WIDTH: Final = 96
"""Characters of one side's column."""
WIDEST: Final = 240
"""Characters of a line where one side stands alone."""


def events_of(actors: Iterable[RecordingSocket]) -> list[Event]:
    """What the actors sent and received, as a cassette's events in the order of time."""
    events: list[Event] = []
    for actor in actors:
        role = Role(actor.role)
        events.append(Open(at=0, actor=actor.name, role=role, path=actor.session.path))
        events += [Send(at=entry.at_ms, actor=actor.name, message=entry.message) for entry in actor.sent]
        events += [Receive(at=entry.at_ms, actor=actor.name, message=entry.message) for entry in actor.received]
    return sorted(events, key=lambda event: event.at)


def as_text(events: Sequence[Event]) -> str:
    """A line a frame, with its time in ms from the first one on."""
    began = next((event.at for event in events if event.at), 0.0)
    return "\n".join(f"{max(0.0, event.at - began):9.1f}  {_cut(_line(event), WIDEST)}" for event in events)


def aligned(hub: Sequence[Event], stack: Sequence[Event]) -> str:
    """The hub's frames beside the stack's, aligned as the gate aligns them; what differs is marked."""
    parity = parity_of(hub, stack)
    marked = {finding.row for finding in parity.findings}
    lines = [f"  {'hub':<{WIDTH}}  stack"]
    for number, (left, right) in enumerate(parity.rows):
        one = "" if left is None else _line(hub[left])
        other = "" if right is None else _line(stack[right])
        lines.append(f"{'≠' if number in marked else ' '} {_cut(one):<{WIDTH}}  {_cut(other)}")
    return "\n".join([*lines, *(f"- {finding.sentence}" for finding in parity.findings)])


def _line(event: Event) -> str:
    if isinstance(event, Send | Receive):
        arrow = "→" if isinstance(event, Send) else "←"
        return f"{event.actor} {arrow} {json.dumps(event.content, ensure_ascii=False, default=str)}"
    return f"{event.actor} connects" if isinstance(event, Open) else f"{event.actor} {type(event).__name__.lower()}"


def _cut(line: str, width: int = WIDTH) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"
