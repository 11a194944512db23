"""Transcripts for sample runs, made from the recorded cassettes: the recording, and sides that differ as told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from harness.results import (
    Cell,
    Column,
    Deviation,
    Finding,
    FindingKind,
    Frame,
    ScenarioRow,
    Spoken,
    align,
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
Edit = Callable[[dict[str, Any]], dict[str, Any]]

RENAMED = "happy-path"
DECLARED: dict[str, tuple[str, str, str, str]] = {
    "cancel-running": (
        "complete_job",
        "type",
        "complete_job",
        "The hub lets a late completion overwrite a cancellation; the stack refuses it.",
    ),
    "second-client-subscribes": (
        "update_job_progress",
        "worker_id",
        "worker-a",
        "The hub serves one subscriber a job; on the stack every subscriber is told.",
    ),
    "submit-odd-priority-text": (
        "error",
        "error",
        "'<' not supported between instances of 'str' and 'int'",
        "The hub stores a job that it answered with an error; the stack stores nothing.",
    ),
}


def recording(name: str) -> tuple[str, list[dict[str, Any]]]:
    """What a cassette is about, and its events."""
    lines = [json.loads(line) for line in (CASSETTES / f"{name}.jsonl").read_text().splitlines()]
    return lines[0]["about"], lines[1:]


def spoken(events: list[dict[str, Any]]) -> list[Spoken]:
    return [Spoken(event["actor"], frame(event)) for event in events]


def frame(event: dict[str, Any]) -> Frame:
    rest = {key: value for key, value in event.items() if key not in {"at", "actor", "event", "message", "text"}}
    return Frame.of(event["at"], event["event"], event.get("message") or rest or None, text=event.get("text"))


def played(events: list[dict[str, Any]], random: Random) -> list[dict[str, Any]]:
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


def facts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
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


def cell(column: Column, expected: list[dict[str, Any]], observed: list[dict[str, Any]], *findings: Finding) -> Cell:
    named = {
        Column.HUB: ("recorded hub", "hub simulator"),
        Column.HUB_AGAIN: ("hub simulator", "hub simulator, second run"),
        Column.STACK_WEBSOCKET: ("hub simulator", "new stack by WebSocket"),
        Column.STACK_SSE: ("hub simulator, facts", "new stack by SSE, facts"),
    }
    rows = align(spoken(expected), spoken(observed)).rows
    placed = [
        finding if finding.row is not None else with_row(finding, [row_of(finding, rows)]) for finding in findings
    ]
    left, right = named[column]
    return Cell.judged(column, findings=placed, rows=rows, expected_name=left, observed_name=right, seconds=0.3)


def with_row(finding: Finding, row: list[int | None]) -> Finding:
    parts = {name: getattr(finding, name) for name in finding.__struct_fields__} | {"row": row[0]}
    return Finding(**parts)


def row_of(finding: Finding, rows: tuple[Any, ...]) -> int | None:
    for index, row in enumerate(rows):
        for side in (row.expected, row.observed):
            if (
                side is not None
                and row.actor == finding.actor
                and isinstance(side.message, dict)
                and side.message.get("type") == finding.message_type
            ):
                return index
    return None


def renamed(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    changed: list[dict[str, Any]] = json.loads(json.dumps(events).replace('"job_accepted"', '"job_submitted"'))
    return changed


RENAMED_FINDING = Finding(
    kind=FindingKind.CHANGED,
    actor="client-a",
    message_type="job_accepted",
    field="type",
    expected="job_accepted",
    observed="job_submitted",
    sentence="client-a was answered job_submitted where the hub answers job_accepted.",
)


def declared_finding(name: str) -> Finding:
    message_type, field, hub, reason = DECLARED[name]
    return Finding(
        kind=FindingKind.CHANGED,
        actor="client-b" if name.startswith("second") else "client-a",
        message_type=message_type,
        field=field,
        expected=hub,
        observed="(by the new rule)",
        sentence=f"{message_type} differs in {field}.",
        declared=Deviation(reason=reason, owner="queue", expires="2027-06-30", hub=hub, stack="(by the new rule)"),
    )


def scenario(name: str, *, broken: bool = False) -> ScenarioRow:
    """One scenario on four sides; `broken` renames the stack's answer to a submit."""
    about, events = recording(name)
    random = Random(name)
    once, twice, stack = (played(events, random) for _ in range(3))
    findings = [declared_finding(name)] if name in DECLARED else []
    if broken:
        stack, findings = renamed(stack), [*findings, RENAMED_FINDING]
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
