"""Plays cassettes on the hub twice and on the stack, each against its reference. What the gate and `parity` call."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.cassettes import Event, event_as_line, kind_of
from harness.cassettes.replay.deadlines import Deadlines
from harness.cassettes.replay.files import Against, CassetteResult, Played, judged, play_files
from harness.cassettes.replay.player import DEFAULT_DEADLINES
from harness.parity import Noise, noise_between
from harness.parity.deviations import Deviations, View
from harness.results import Cell, CellVerdict, Column, Row, ScenarioRow, TranscriptEvent
from harness.targets import TargetPool

NAMES = {
    Column.HUB: ("recording", "hub"),
    Column.HUB_AGAIN: ("hub", "hub again"),
    Column.STACK_WEBSOCKET: ("hub", "stack"),
    Column.STACK_SSE: ("hub, as facts", "stack by HTTP and events"),
}
VIEWS = {Column.STACK_SSE: View.FACTS}
Done = Callable[[Column, Played], None]


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Every cassette on every side."""

    columns: dict[Column, list[CassetteResult]]
    rows: list[ScenarioRow]
    problems: list[str]
    """Sentences: deviations that have expired or that no scenario needed."""


async def play_matrix(  # noqa: PLR0913 - each is one choice of a run
    files: Sequence[Path],
    hub: TargetPool,
    stack: TargetPool,
    *,
    deviations: Deviations,
    today: dt.date,
    deadlines: Deadlines = DEFAULT_DEADLINES,
    at_once: int = 2,
    recall: dict[Column, list[Played]] | None = None,
    done: Done = lambda _column, _played: None,
) -> Matrix:
    """Play every file on every side, all sides at once, `at_once` files on each. The hub is held against the recording,
    its second run and the stack against its first; what the hub's two runs differ in is noise on the stack. Where the
    hub could not be played, or not to the end of a recorded wait, the recording stands in for it.

    What `recall` holds of the hub's columns is not played again; what it lacks is put into it.
    """
    remembered = {} if recall is None else recall

    async def play(column: Column, pool: TargetPool) -> list[Played]:
        if column in remembered:
            return remembered[column]
        view = VIEWS.get(column, View.FRAMES)
        return await play_files(
            files, pool, deadlines=deadlines, at_once=at_once, view=view, done=lambda played: done(column, played)
        )

    async with asyncio.TaskGroup() as tasks:
        playing = {
            Column.HUB: tasks.create_task(play(Column.HUB, hub)),
            Column.HUB_AGAIN: tasks.create_task(play(Column.HUB_AGAIN, hub)),
            Column.STACK_WEBSOCKET: tasks.create_task(play(Column.STACK_WEBSOCKET, stack)),
            Column.STACK_SSE: tasks.create_task(play(Column.STACK_SSE, stack)),
        }
    played = {column: task.result() for column, task in playing.items()}
    remembered.update({column: played[column] for column in (Column.HUB, Column.HUB_AGAIN)})
    columns = judge_columns(played, deviations, today)
    problems = problems_of(columns, deviations, today)
    return Matrix(columns=columns, rows=rows_of(columns), problems=problems)


def judge_columns(
    played: Mapping[Column, Sequence[Played]], deviations: Deviations, today: dt.date
) -> dict[Column, list[CassetteResult]]:
    """Every column against its reference."""
    first, again = played[Column.HUB], played[Column.HUB_AGAIN]
    hub = {
        run.cassette.name: run.transcript.events
        for run in first
        if run.cassette and run.transcript and not run.transcript.cut_short
    }
    on_stack = Against(deviations=deviations, today=today, references=hub, noise=_noise(first, again))
    against = {
        Column.HUB: Against(today=today),
        Column.HUB_AGAIN: Against(today=today, references=hub),
        Column.STACK_WEBSOCKET: on_stack,
        Column.STACK_SSE: on_stack,
    }
    return {column: [judged(run, against[column]) for run in runs] for column, runs in played.items()}


def _noise(first: Sequence[Played], again: Sequence[Played]) -> dict[str, Noise]:
    return {
        one.cassette.name: noise_between(one.transcript.events, other.transcript.events)
        for one, other in zip(first, again, strict=True)
        if one.cassette and one.transcript and other.transcript
    }


def rows_of(columns: Mapping[Column, Sequence[CassetteResult]]) -> list[ScenarioRow]:
    """The results model's rows, a scenario each."""
    cells: dict[str, list[Cell]] = {}
    abouts: dict[str, str] = {}
    for column, results in columns.items():
        for result in results:
            abouts.setdefault(result.name, result.cassette.header.about if result.cassette else "")
            cells.setdefault(result.name, []).append(cell_of(result, column, names=NAMES[column]))
    return [ScenarioRow(name=name, about=abouts[name], cells=tuple(row)) for name, row in cells.items()]


def problems_of(
    columns: Mapping[Column, Sequence[CassetteResult]], deviations: Deviations, today: dt.date
) -> list[str]:
    """What is wrong with the declared differences, as far as these results can tell."""
    problems = deviations.expired(today)
    for column in (Column.STACK_WEBSOCKET, Column.STACK_SSE):
        results = columns.get(column, ())
        played = {result.name for result in results if result.transcript is not None}
        findings = [finding for result in results for finding in result.findings]
        problems += deviations.unneeded(played, findings, VIEWS.get(column, View.FRAMES))
    return problems


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
