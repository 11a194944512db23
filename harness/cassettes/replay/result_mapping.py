"""A cassette's result in the words of the results model, for every report."""

from __future__ import annotations

import msgspec

from harness.cassettes import Event, event_as_line, kind_of
from harness.cassettes.replay.files import CassetteResult
from harness.parity import Finding
from harness.parity.deviations import Deviations
from harness.results import Alignment, Cell, CellVerdict, Column, Frame, Spoken, align
from harness.results import Finding as FindingResult


def cell_of(result: CassetteResult, column: Column, deviations: Deviations, *, names: tuple[str, str]) -> Cell:
    """The matrix cell; `names` head the two transcripts, the reference first."""
    observed = result.transcript.events if result.transcript else ()
    if result.verdict is CellVerdict.NOT_APPLICABLE:
        return Cell.not_applicable(column, result.reason)
    known = [(finding.expected_index, finding.observed_index) for finding in result.findings]
    alignment = align([spoken(event) for event in result.reference], [spoken(event) for event in observed], known)
    if result.verdict is CellVerdict.INCONCLUSIVE:
        return Cell.inconclusive(column, result.reason or "Nothing was seen on this side.", rows=alignment.rows)
    return Cell.judged(
        column,
        findings=[finding_result(finding, alignment, deviations) for finding in result.findings],
        rows=alignment.rows,
        expected_name=names[0],
        observed_name=names[1],
        seconds=round(result.took_s, 3),
    )


def finding_result(finding: Finding, alignment: Alignment, deviations: Deviations) -> FindingResult:
    """A finding as the results model has it."""
    declared = deviations.by_name.get(finding.declared_by or "")
    return FindingResult(
        kind=finding.kind,
        actor=finding.actor,
        sentence=finding.sentence,
        message_type=finding.message_type,
        field=finding.field,
        expected=finding.expected,
        observed=finding.observed,
        row=_row(finding, alignment),
        declared=declared.result() if declared else None,
        noise=finding.noise,
    )


def _row(finding: Finding, alignment: Alignment) -> int | None:
    if finding.expected_index is not None:
        return alignment.expected_rows[finding.expected_index]
    return alignment.observed_rows[finding.observed_index] if finding.observed_index is not None else None


def spoken(event: Event) -> Spoken:
    """An event as a line of a transcript."""
    line = event_as_line(event)
    text = line.get("text") if isinstance(line.get("text"), str) else None
    message = line.get("message")
    if message is None and text is None:
        message = {key: value for key, value in line.items() if key not in {"at", "actor", "event"}} or None
    return Spoken(event.actor, Frame.of(event.at, kind_of(event), msgspec.to_builtins(message), text=text))
