"""What a played recording comes to, by what others had of the machine meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from harness.cassettes import Event, Receive, load
from harness.cassettes.replay.files import Against, Played, judged
from harness.cassettes.replay.matrix import judge_columns
from harness.cassettes.replay.player import Transcript
from harness.machine_time import FREE, Lost, MachineTime
from harness.parity.deviations import Deviations
from harness.results import CellVerdict, Column

PATH = Path(__file__).parents[4] / "scenarios" / "cassettes" / "happy-path.jsonl"
CASSETTE = load(PATH)
BEGAN_S = 1_795_523_554.0
"""When it was recorded."""
TODAY = dt.date(2026, 1, 1)
PLACE = max(
    place for place, event in enumerate(CASSETTE.events) if isinstance(event, Receive) and event.actor == "client-a"
)


def changed() -> Sequence[Event]:
    last = CASSETTE.events[PLACE]
    assert isinstance(last, Receive)
    assert isinstance(last.message, dict)
    other = msgspec.structs.replace(last, message=last.message | {"result": "another one"})
    return [*CASSETTE.events[:PLACE], other, *CASSETTE.events[PLACE + 1 :]]


def missing() -> Sequence[Event]:
    return [event for place, event in enumerate(CASSETTE.events) if place != PLACE]


def reworded() -> Sequence[Event]:
    """With another message of the first progress, as runs of a hub may differ."""
    found = list(CASSETTE.events)
    for place, event in enumerate(found):
        message = event.message if isinstance(event, Receive) and event.actor == "client-a" else None
        if isinstance(event, Receive) and isinstance(message, dict) and message["type"] == "update_job_progress":
            found[place] = msgspec.structs.replace(event, message=message | {"message": "about 10"})
            return found
    raise AssertionError("the recording has no progress")


def lost(share: float) -> MachineTime:
    return MachineTime([Lost(BEGAN_S - 100, BEGAN_S + 100, 200 * share)])


@pytest.mark.parametrize(
    ("events", "machine", "verdict"),
    [
        (missing(), FREE, CellVerdict.DIFFERENT),
        (missing(), lost(0.4), CellVerdict.DIFFERENT),
        (missing(), lost(0.6), CellVerdict.INCONCLUSIVE),
        (changed(), lost(0.6), CellVerdict.DIFFERENT),
        (changed(), lost(0.9), CellVerdict.INCONCLUSIVE),
        (CASSETTE.events, lost(0.9), CellVerdict.SAME),
    ],
)
def test_a_difference_proves_nothing_where_others_had_so_much_of_the_machine_that_it_explains_it(
    events: Sequence[Event], machine: MachineTime, verdict: CellVerdict
) -> None:
    assert judged(played(events, machine), Against(today=TODAY)).verdict is verdict


@pytest.mark.parametrize(
    ("machine", "verdict"),
    [(FREE, CellVerdict.SAME), (lost(0.4), CellVerdict.SAME), (lost(0.6), CellVerdict.INCONCLUSIVE)],
)
def test_what_the_hub_differs_in_while_others_have_the_machine_excuses_nothing(
    machine: MachineTime, verdict: CellVerdict
) -> None:
    first, again, on_stack = played(CASSETTE.events), played(reworded(), machine), played(reworded())
    columns = {Column.HUB: [first], Column.HUB_AGAIN: [again], Column.STACK_WEBSOCKET: [on_stack]}
    found = judge_columns(columns, [[first], [again], [first]], Deviations(), TODAY)
    assert found[Column.STACK_WEBSOCKET][0].verdict is verdict
    assert found[Column.HUB][0].verdict is CellVerdict.SAME


def played(events: Sequence[Event], machine: MachineTime = FREE) -> Played:
    transcript = Transcript(scenario=CASSETTE.name, target="stack", events=tuple(events), began_s=BEGAN_S, took_s=10)
    return Played(path=PATH, cassette=CASSETTE, transcript=transcript, took_s=10, machine=machine)
