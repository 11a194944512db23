"""What a played recording comes to, by what others had of the machine meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from harness.cassettes import Event, Receive, load
from harness.cassettes.replay.files import Against, Played, judged
from harness.cassettes.replay.player import Transcript
from harness.machine_time import FREE, Lost, MachineTime
from harness.results import CellVerdict

PATH = Path(__file__).parents[4] / "scenarios" / "cassettes" / "happy-path.jsonl"
CASSETTE = load(PATH)
BEGAN_S = 1_795_523_554.0
"""When it was recorded."""
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
    transcript = Transcript(scenario=CASSETTE.name, target="stack", events=tuple(events), began_s=BEGAN_S, took_s=10)
    played = Played(path=PATH, cassette=CASSETTE, transcript=transcript, took_s=10, machine=machine)
    assert judged(played, Against(today=dt.date(2026, 1, 1))).verdict is verdict
