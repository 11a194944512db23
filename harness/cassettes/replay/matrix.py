"""Plays cassettes on the hub twice and on the stack, each against its reference. What the gate and `parity` call."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from harness.cassettes import Event, event_as_line, kind_of
from harness.cassettes.replay.expectations import Deadlines
from harness.cassettes.replay.files import Against, CassetteResult, Played, judged, play_files
from harness.cassettes.replay.player import DEFAULT_DEADLINES
from harness.machine_time import HALF, NOBODY_WATCHES, MachineLog
from harness.parity import Noise, compare, noise_of
from harness.parity.deviations import Deviations, View
from harness.results import Cell, CellVerdict, Column, Row, ScenarioRow, TranscriptEvent
from harness.targets import TargetPool

NAMES = {
    Column.HUB: ("recording", "hub"),
    Column.HUB_AGAIN: ("hub", "hub again"),
    Column.STACK_WEBSOCKET: ("hub", "stack"),
    Column.STACK_SSE: ("hub, as facts", "stack by HTTP and events"),
}
AT_ONCE = 4
"""Of each column. They wait more than they compute, and while one recording waits for a minute it has one of them."""
NAMED = 3
"""Recordings that are named where several differ in one way."""
VIEWS = {Column.STACK_SSE: View.FACTS}
DECIDED = (CellVerdict.SAME, CellVerdict.DECLARED)
NOISE_OF_OTHERS = "It differs as the hub did from itself, but others had the machine while the hub was played."
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
    recall: list[list[Played]] | None = None,
    done: Done = lambda _column, _played: None,
    machine: MachineLog = NOBODY_WATCHES,
) -> Matrix:
    """Play every file on every side, all sides at once, a few files on each. The hub is held against the recording,
    its second run and the stack against its first. Where its two runs differ it is played once more, and what its runs
    differ in is noise on the stack. Where the hub could not be played, or not to the end of a recorded wait, the
    recording stands in for it.

    The hub's runs that `recall` holds are not played again; where it is empty they are put into it.
    """
    runs = [] if recall is None else recall
    play_these = partial(play_files, deadlines=deadlines, at_once=AT_ONCE, machine=machine)

    async def play(column: Column, pool: TargetPool) -> list[Played]:
        view = VIEWS.get(column, View.FRAMES)
        return await play_these(files, pool, view=view, done=lambda played: done(column, played))

    async def play_hub() -> None:
        if not runs:
            first, again = await asyncio.gather(play(Column.HUB, hub), play(Column.HUB_AGAIN, hub))
            unsure = [one.path for one, other in zip(first, again, strict=True) if _differ(one, other)]
            runs.extend([first, again, await play_these(unsure, hub)])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(play_hub())
        websocket = tasks.create_task(play(Column.STACK_WEBSOCKET, stack))
        sse = tasks.create_task(play(Column.STACK_SSE, stack))
    first, again, *_ = runs
    played = dict(zip(Column, (first, again, websocket.result(), sse.result()), strict=True))
    columns = judge_columns(played, runs, deviations, today)
    return Matrix(columns=columns, rows=rows_of(columns), problems=problems_of(columns, deviations, today))


def judge_columns(
    played: Mapping[Column, Sequence[Played]], runs: Sequence[Sequence[Played]], deviations: Deviations, today: dt.date
) -> dict[Column, list[CassetteResult]]:
    """Every column against its reference. What the hub's `runs` differ in is noise on the stack; where that is so only
    of a run during which others had the machine, it excuses nothing, and nobody knows.
    """
    hub = {
        run.cassette.name: run.transcript.events
        for run in played[Column.HUB]
        if run.cassette and run.transcript and not run.transcript.cut_short
    }
    on_stack = Against(deviations=deviations, today=today, references=hub, noise=_noise(runs))
    against = {
        Column.HUB: Against(today=today),
        Column.HUB_AGAIN: Against(today=today, references=hub),
        Column.STACK_WEBSOCKET: on_stack,
        Column.STACK_SSE: on_stack,
    }
    columns = {column: [judged(run, against[column]) for run in runs] for column, runs in played.items()}
    sound = [[one for one in run if not one.is_left_less_than(HALF)] for run in runs]
    if sum(map(len, sound)) < sum(map(len, runs)):
        certain = msgspec.structs.replace(on_stack, noise=_noise(sound))
        for column in (Column.STACK_WEBSOCKET, Column.STACK_SSE):
            results = zip(played.get(column, ()), columns.get(column, ()), strict=True)
            columns[column] = [_unless_excused_by_others(result, judged(run, certain)) for run, result in results]
    return columns


def _unless_excused_by_others(result: CassetteResult, certain: CassetteResult) -> CassetteResult:
    if result.verdict not in DECIDED or certain.verdict in DECIDED:
        return result
    return msgspec.structs.replace(result, verdict=CellVerdict.INCONCLUSIVE, reason=NOISE_OF_OTHERS)


def _differ(one: Played, other: Played) -> bool:
    return bool(one.transcript and other.transcript and compare(one.transcript.events, other.transcript.events))


def _noise(runs: Sequence[Sequence[Played]]) -> dict[str, Noise]:
    transcripts: dict[str, list[Sequence[Event]]] = defaultdict(list)
    for run in itertools.chain(*runs):
        if run.cassette and run.transcript:
            transcripts[run.cassette.name].append(run.transcript.events)
    return {name: noise_of(*events) for name, events in transcripts.items()}


def rows_of(columns: Mapping[Column, Sequence[CassetteResult]]) -> list[ScenarioRow]:
    """The results model's rows, a scenario each."""
    cells: dict[str, list[Cell]] = {}
    abouts: dict[str, str] = {}
    for column, results in columns.items():
        for result in results:
            abouts.setdefault(result.name, result.cassette.header.about if result.cassette else "")
            cells.setdefault(result.name, []).append(cell_of(result, column, names=NAMES[column]))
    return [ScenarioRow(name=name, about=abouts[name], cells=tuple(row)) for name, row in cells.items()]


def patterns_of(results: Iterable[CassetteResult]) -> list[str]:
    """What is different in one way in several recordings as one sentence, then what is different in a single one."""
    ways: dict[Hashable, tuple[str, dict[str, CassetteResult]]] = {}
    for result in results:
        for cause in result.causes:
            way = (cause.role, cause.kind, cause.message_type, cause.field)
            ways.setdefault(way, (cause.sentence, {}))[1][result.name] = result
    told, known = [], set[str]()
    for sentence, where in sorted(ways.values(), key=lambda each: -len(each[1])):
        if known.issuperset(where):
            continue
        known |= where.keys()
        names = ", ".join([*list(where)[:NAMED], *["…"][: len(where) - NAMED]])
        single = next(iter(where.values())).describe() + "."
        told.append(f"{len(where)} recordings: {sentence} ({names})" if len(where) > 1 else single)
    return told[:NAMED]


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
    rows = [row_of(result.reference, observed, left, right) for left, right in result.rows]
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


def row_of(expected: Sequence[Event], observed: Sequence[Event], left: int | None, right: int | None) -> Row:
    """One line of two transcripts, by the places in them."""
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
