"""A cassette's result as a cell of the matrix, for every report."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.cassettes import Event, event_as_line, kind_of
from harness.cassettes.replay.files import CassetteResult
from harness.results import Cell, CellVerdict, Column, Row, TranscriptEvent


def cell_of(result: CassetteResult, column: Column, *, names: tuple[str, str]) -> Cell:
    """The matrix cell; `names` head the two transcripts, the reference first."""
    if result.verdict is CellVerdict.NOT_APPLICABLE:
        return Cell.not_applicable(column, result.reason)
    observed = result.transcript.events if result.transcript else ()
    rows = [_row(result.reference, observed, left, right) for left, right in result.rows]
    if result.verdict is CellVerdict.INCONCLUSIVE:
        return Cell.inconclusive(column, result.reason or "Nothing was seen on this side.", rows=rows)
    return Cell.judged(
        column,
        findings=result.findings,
        rows=rows,
        expected_name=names[0],
        observed_name=names[1],
        seconds=round(result.took_s, 3),
    )


def _row(expected: Sequence[Event], observed: Sequence[Event], left: int | None, right: int | None) -> Row:
    here, there = None if left is None else expected[left], None if right is None else observed[right]
    return Row(
        actor=here.actor if here else there.actor if there else "",
        expected=frame_of(here) if here else None,
        observed=frame_of(there) if there else None,
    )


def frame_of(event: Event) -> TranscriptEvent:
    """An event as a line of a transcript."""
    line = event_as_line(event)
    text = line.get("text") if isinstance(line.get("text"), str) else None
    message = line.get("message")
    if message is None and text is None:
        message = {key: value for key, value in line.items() if key not in {"at", "actor", "event"}} or None
    return TranscriptEvent.of(event.at, kind_of(event), msgspec.to_builtins(message), text=text)
