"""Transcripts for sample runs, made from the recorded cassettes: the recording, and sides that differ as told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from harness.results import (
    Cell,
    Column,
    DeclaredBy,
    Finding,
    FindingKind,
    Row,
    ScenarioRow,
    TranscriptEvent,
)

CASSETTES = Path(__file__).parents[2] / "scenarios" / "cassettes"
NAMES = tuple(sorted(path.stem for path in CASSETTES.glob("*.jsonl")))
JOB_ID = re.compile(r"job-(?:rest-)?[0-9a-f]{8}-[0-9a-f-]{27}")
FACTS = {
    "job_accepted": "submitted",
    "update_job_progress": "progress",
    "complete_job": "completed",
    "fail_job": "attempt_failed",
}
Events = list[dict[str, Any]]
Edit = Callable[[Events], Events]

RENAMED = "happy-path"


class Declared(msgspec.Struct, frozen=True):
    """What a declared difference does to the stack's side, and how it is told."""

    edit: Edit
    finding: Finding


def late_completion_refused(events: Events) -> Events:
    return [event for event in events if not is_message(event, "client-a", "complete_job")]


def second_subscriber_served(events: Events) -> Events:
    told: Events = []
    for event in events:
        told.append(event)
        if is_message(event, "client-a", "complete_job"):
            told.append(event | {"actor": "client-b"})
    return told


def better_error(events: Events) -> Events:
    return [
        event | {"message": event["message"] | {"error": BETTER}} if is_message(event, "client-a", "error") else event
        for event in events
    ]


def is_message(event: dict[str, Any], actor: str, kind: str) -> bool:
    message = event.get("message")
    received = event["event"] == "receive" and event["actor"] == actor
    return received and isinstance(message, dict) and message.get("type") == kind


def declared(
    edit: Edit, kind: FindingKind, message_type: str, sentence: str, reason: str, actor: str = "client-a", **more: Any
) -> Declared:
    deviation = DeclaredBy(name="one", reason=reason, owner="queue", expires="2027-06-30")
    return Declared(
        edit,
        Finding(kind=kind, actor=actor, message_type=message_type, sentence=sentence, declared=deviation, **more),
    )


BETTER = "priority: must be a whole number from -4096 to 4096"
DECLARED = {
    "cancel-running": declared(
        late_completion_refused,
        FindingKind.MISSING,
        "complete_job",
        "client-a is not told complete_job after it cancelled the job.",
        "The hub lets a late completion overwrite a cancellation; the stack refuses it.",
    ),
    "second-client-subscribes": declared(
        second_subscriber_served,
        FindingKind.EXTRA,
        "complete_job",
        "client-b is told complete_job, which the hub never tells it.",
        "The hub serves one subscriber a job; on the stack every subscriber is told.",
        actor="client-b",
    ),
    "submit-odd-priority-text": declared(
        better_error,
        FindingKind.CHANGED,
        "error",
        "The text of the error differs.",
        "The hub shows an internal error and stores the job all the same; the stack says what is wrong.",
        field="error",
        expected='Server error processing message: can only concatenate str (not "int") to str',
        observed=BETTER,
    ),
}


def recording(name: str) -> tuple[str, Events]:
    """What a cassette is about, and its events."""
    lines = [json.loads(line) for line in (CASSETTES / f"{name}.jsonl").read_text().splitlines()]
    return lines[0]["about"], lines[1:]


def frame(event: dict[str, Any]) -> TranscriptEvent:
    rest = {key: value for key, value in event.items() if key not in {"at", "actor", "event", "message", "text"}}
    return TranscriptEvent.of(event["at"], event["event"], event.get("message") or rest or None, text=event.get("text"))


def played(events: Events, random: Random) -> Events:
    """The same conversation on another day: other ids, other clocks."""
    ids: dict[str, str] = {}
    text = JOB_ID.sub(lambda found: ids.setdefault(found[0], f"job-{random.getrandbits(128):032x}"), json.dumps(events))
    moved = json.loads(text)
    pace = random.uniform(0.2, 0.4)
    for event in moved:
        event["at"] = round(event["at"] * pace, 1)
        if isinstance(event.get("message"), dict) and "timestamp" in event["message"]:
            event["message"]["timestamp"] += 3600.5
    return moved  # type: ignore[no-any-return]


def facts(events: Events) -> Events:
    """What happened to the jobs, as the protocol-free facts that an SSE client's view is held against."""
    told = []
    for event in events:
        message = event.get("message")
        if event["event"] == "receive" and isinstance(message, dict) and message.get("type") in FACTS:
            kept = {key: message[key] for key in ("job_id", "progress", "result", "error") if message.get(key)}
            told.append(
                {
                    "at": event["at"],
                    "actor": event["actor"],
                    "event": "fact",
                    "message": {"type": FACTS[message["type"]], **kept},
                }
            )
    return told


def cell(column: Column, expected: Events, observed: Events, *findings: Finding) -> Cell:
    named = {
        Column.HUB: ("recorded hub", "hub simulator"),
        Column.HUB_AGAIN: ("hub simulator", "hub simulator, second run"),
        Column.STACK_WEBSOCKET: ("hub simulator", "new stack by WebSocket"),
        Column.STACK_SSE: ("hub simulator, facts", "new stack by SSE, facts"),
    }
    rows = side_by_side(expected, observed)
    placed = [msgspec.structs.replace(finding, row=row_of(finding, rows)) for finding in findings]
    left, right = named[column]
    return Cell.judged(column, findings=placed, rows=rows, expected_name=left, observed_name=right, seconds=0.3)


def side_by_side(expected: Events, observed: Events) -> list[Row]:
    """Each actor's events beside each other by their type, as a comparison would pair them."""
    waiting = [(event["actor"], type_of(event), event) for event in observed]
    rows = []
    for event in expected:
        twin = next((one for one in waiting if one[:2] == (event["actor"], type_of(event))), None)
        if twin:
            waiting.remove(twin)
        rows.append(Row(actor=event["actor"], expected=frame(event), observed=frame(twin[2]) if twin else None))
    return rows + [Row(actor=actor, observed=frame(event)) for actor, _, event in waiting]


def type_of(event: dict[str, Any]) -> str:
    message = event.get("message")
    kind = message.get("type") if isinstance(message, dict) else None
    return f"{event['event']} {'job_accepted' if kind == 'job_submitted' else kind}"


def row_of(finding: Finding, rows: list[Row]) -> int | None:
    """The row that a finding is about: its actor's, of its type, and one-sided where the finding is."""
    sides = {FindingKind.MISSING: (True, False), FindingKind.EXTRA: (False, True)}.get(finding.kind, (True, True))
    for index, row in enumerate(rows):
        present = (row.expected is not None, row.observed is not None)
        frame = row.expected or row.observed
        message = frame.message if frame is not None and isinstance(frame.message, dict) else {}
        if present == sides and row.actor == finding.actor and message.get("type") == finding.message_type:
            return index
    return None


def renamed(events: Events) -> Events:
    changed: Events = json.loads(json.dumps(events).replace('"job_accepted"', '"job_submitted"'))
    return changed


RENAMED_FINDING = Finding(
    kind=FindingKind.CHANGED,
    actor="client-a",
    role="client",
    message_type="job_accepted",
    field="type",
    expected="job_accepted",
    observed="job_submitted",
    sentence="client-a was answered job_submitted where the hub answers job_accepted.",
)


def wrong_in(events: Events, field: str) -> Finding:
    """The stack's first message with that field wrong, or with it where the hub has none: the finding."""
    event = next(one for one in events if one["event"] == "receive" and isinstance(one.get("message"), dict))
    message, before = event["message"], event["message"].get(field, "(absent)")
    message[field] = "wrong"
    kind, actor = message["type"], event["actor"]
    sentence = f'{actor}: {field} of {kind} is "wrong" where the reference has {json.dumps(before)}.'
    return Finding(
        kind=FindingKind.CHANGED, actor=actor, role="client", message_type=kind, field=field,
        expected=before, observed="wrong", sentence=sentence,
    )  # fmt: skip


def scenario(name: str, *, broken: bool = False, wrong: Sequence[str] = ()) -> ScenarioRow:
    """One scenario on four sides; `broken` renames the stack's answer to a submit, `wrong` are fields of its first."""
    about, events = recording(name)
    random = Random(name)
    once, twice, stack = (played(events, random) for _ in range(3))
    findings = []
    if name in DECLARED:
        stack, findings = DECLARED[name].edit(stack), [DECLARED[name].finding]
    if broken:
        stack, findings = renamed(stack), [*findings, RENAMED_FINDING]
    findings += [wrong_in(stack, field) for field in wrong]
    cells = [
        cell(Column.HUB, events, once),
        cell(Column.HUB_AGAIN, once, twice),
        cell(Column.STACK_WEBSOCKET, once, stack, *findings),
    ]
    told = facts(once)
    if told:
        cells.append(cell(Column.STACK_SSE, told, facts(played(events, random))))
    else:
        why = "No job's life is in this scenario, so there are no facts to compare."
        cells.append(Cell.not_applicable(Column.STACK_SSE, why))
    return ScenarioRow(name=name, about=about, cells=tuple(cells))
