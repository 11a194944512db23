"""A cell's transcripts as the page shows them: rows with their state, their frames and what differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from markupsafe import Markup

from harness.results import Cell, Finding, FindingKind, Row, ScenarioRow, TranscriptEvent
from harness.results.formatting import shortened
from reports.frames import show_frame

MOST_ROWS: Final = 400
"""A longer transcript is shown around its differences and at its beginning."""
VALUE_LIMIT: Final = 300
WORD_LIMIT: Final = 48
NOTHING: Final = TranscriptEvent(at=0, event="")


class State(StrEnum):
    """How a row, or a finding, stands; also the style's class."""

    SAME = "same"
    NOISE = "noise"
    ALONE = "alone"
    """On one side only, and nothing objects: an addition that is allowed."""
    DECLARED = "declared"
    DIFFERENT = "different"


_WEIGHT: Final = list(State)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A finding below its row. The two values are None where its sentence tells them already, and `reason` where
    the finding above has the same one.
    """

    state: State
    finding: Finding
    expected: str | None
    observed: str | None
    reason: str | None


class ShownRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row; a side that has nothing there is None. `place` is its place in the whole transcript."""

    place: int
    actor: str
    state: State
    expected: Markup | None
    observed: Markup | None
    expected_head: str
    observed_head: str
    notes: tuple[Note, ...]
    event: str
    """What the actor did, for the sequence diagram: `send`, `receive`, `open` …"""
    said: str
    """What was said in a word or two, and what this side said where it is another."""


class ShownTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell's page section shows. `left_out` counts rows that are not shown; `rows` is None where all were left
    out for size.
    """

    ref: str
    scenario: ScenarioRow
    cell: Cell
    loose: tuple[Note, ...]
    rows: tuple[ShownRow, ...] | None
    left_out: int


def state_of(finding: Finding) -> State:
    """Noise outranks declared: what the hub itself does not repeat needs no excuse."""
    if finding.noise:
        return State.NOISE
    return State.DECLARED if finding.declared else State.DIFFERENT


def transcript(scenario: ScenarioRow, cell: Cell) -> ShownTranscript:
    """The cell, ready to be shown."""
    by_row: dict[int, list[Finding]] = {}
    for finding in cell.findings:
        if finding.row is not None and 0 <= finding.row < len(cell.rows):
            by_row.setdefault(finding.row, []).append(finding)
    placed = {id(finding) for found in by_row.values() for finding in found}
    chosen = _chosen(len(cell.rows), by_row)
    return ShownTranscript(
        ref=f"{scenario.name}/{cell.column}",
        scenario=scenario,
        cell=cell,
        loose=_notes([finding for finding in cell.findings if id(finding) not in placed]),
        rows=tuple(_shown(index, cell.rows[index], by_row.get(index, ())) for index in chosen),
        left_out=len(cell.rows) - len(chosen),
    )


def _chosen(count: int, by_row: dict[int, list[Finding]]) -> Sequence[int]:
    if count <= MOST_ROWS:
        return range(count)
    near = {index + step for index in by_row for step in range(-3, 4)}
    wanted = sorted(index for index in near if 0 <= index < count)[: MOST_ROWS // 2]
    return sorted({*wanted, *range(MOST_ROWS - len(wanted))})


def _shown(place: int, row: Row, findings: Sequence[Finding]) -> ShownRow:
    state = max((state_of(finding) for finding in findings), key=_WEIGHT.index, default=State.SAME)
    if state is State.SAME and (row.expected is None or row.observed is None):
        state = State.ALONE
    marks = {
        finding.field: state_of(finding).value
        for finding in findings
        if finding.field and finding.kind is FindingKind.CHANGED
    }
    return ShownRow(
        place=place,
        actor=row.actor,
        state=state,
        expected=_side(row.expected, marks),
        observed=_side(row.observed, marks),
        expected_head=_head(row.expected),
        observed_head=_head(row.observed),
        notes=_notes(findings),
        event=(row.expected or row.observed or NOTHING).event,
        said=_said(row),
    )


def _said(row: Row) -> str:
    expected, observed = (None if side is None else _word(side) for side in (row.expected, row.observed))
    if expected == observed:
        return expected or ""
    return " → ".join(word or "nothing" for word in (expected, observed))


def _word(frame: TranscriptEvent) -> str:
    """The type of a message, the line of a request, the status of a response, or the beginning of what was sent."""
    message = frame.message if isinstance(frame.message, dict) else {}
    words = [str(message[name]) for name in ("method", "path", "status", "code") if name in message]
    told = message.get("type") or message.get("event") or " ".join(words) or frame.text or frame.event
    return shortened(str(told), WORD_LIMIT)


def _side(frame: TranscriptEvent | None, marks: dict[str, str]) -> Markup | None:
    return None if frame is None else show_frame(frame, marks)


def _head(frame: TranscriptEvent | None) -> str:
    return "" if frame is None else f"{frame.event} at {frame.at:,.0f} ms"


def _notes(findings: Sequence[Finding]) -> tuple[Note, ...]:
    notes: list[Note] = []
    above = None
    for finding in findings:
        reason = _reason(finding)
        notes.append(_note(finding, None if reason == above else reason))
        above = reason
    return tuple(notes)


def _note(finding: Finding, reason: str | None) -> Note:
    values = _value(finding.expected), _value(finding.observed)
    shown = finding.kind is FindingKind.CHANGED and bool(finding.field) and not _tells(finding.sentence, values)
    return Note(
        state=state_of(finding),
        finding=finding,
        expected=values[0] if shown else None,
        observed=values[1] if shown else None,
        reason=reason,
    )


def _tells(sentence: str, values: tuple[str, str]) -> bool:
    return all(value in sentence or value.strip('"()') in sentence for value in values)


def _reason(finding: Finding) -> str | None:
    if finding.noise:
        return "Two runs of the hub differ in this as well."
    declared = finding.declared
    return None if declared is None else f"{declared.reason} ({declared.owner}, until {declared.expires})"


def _value(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), VALUE_LIMIT)
