"""The history file: what is written is read, and what is no history ends with file and line."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import (
    Bounds,
    History,
    HistoryEvent,
    HistoryFileError,
    HistoryWriter,
    Source,
    read_events,
    write_events,
)
from harness.protocols import EventKind
from tests.harness.history.sound import SoundQueue

HEADER = b'{"history":1,"about":""}\n'
EVENT = b'{"at_ms":1.5,"source":"client","kind":"accepted","job_id":"a"}\n'


def test_what_is_written_is_read(tmp_path: Path) -> None:
    events = SoundQueue(Random(7), jobs=25).run()
    write_events(tmp_path / "run.jsonl", events, about="a simulated run")
    assert list(read_events(tmp_path / "run.jsonl")) == events


@given(text=st.text(), at_ms=st.floats(0, 1e15), steps=st.none() | st.lists(st.floats(0, 100)).map(tuple))
def test_any_event_survives_the_file(tmp_path_factory: pytest.TempPathFactory, **fields: object) -> None:
    at_ms, text, steps = fields["at_ms"], fields["text"], fields["steps"]
    event = HistoryEvent(at_ms=at_ms, source=Source.CLIENT, kind=EventKind.SUBMIT, by=text, note=text, steps=steps)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("history") / "one.jsonl"
    write_events(path, [event])
    assert list(read_events(path)) == [event]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"", 1, "not a history"),
        (b'{"cassette": 1}\n', 1, "not a history"),
        (b'{"history": 2}\n', 1, "not a history"),
        (b"\x00\xff\xfe binary", 1, "not a history"),
        (HEADER + EVENT + b"nonsense\n", 3, "not an event"),
        (HEADER + EVENT + EVENT[:-1], 3, "cut off"),
        (HEADER + b'{"at_ms":1,"source":"nobody","kind":"accepted"}\n', 2, "not an event"),
        (HEADER + b'{"at_ms":1,"source":"client","kind":"accepted","jobid":"a"}\n', 2, "not an event"),
        (HEADER + EVENT * 11, 12, "more than 10 events"),
        (HEADER + b'{"at_ms":1,"source":"client","kind":"accepted","note":"' + b"x" * 900 + b'"}\n', 2, "longer than"),
        (HEADER + b"x" * 5_000_000, 2, "longer than"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, content: bytes, line: int, says: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(HistoryFileError, match=says) as refusal:
        list(read_events(path, Bounds(line_bytes=500, events=10)))
    assert f"{path}:{line}:" in str(refusal.value)


def test_the_good_part_of_a_file_is_read_before_the_bad_one_is_met(tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl"
    path.write_bytes(HEADER + EVENT + b"nonsense\n")
    assert next(read_events(path)).job_id == "a"


def test_a_run_may_be_spread_over_files(tmp_path: Path) -> None:
    events = SoundQueue(Random(3), jobs=9).run()
    for part in (0, 1, 2):
        write_events(tmp_path / f"{part}.jsonl", events[part::3])
    merged = History.load(*(tmp_path / f"{part}.jsonl" for part in (0, 1, 2)))
    assert sorted(merged.events, key=repr) == sorted(events, key=repr)


def test_listeners_hear_each_event_until_they_stop(tmp_path: Path) -> None:
    heard: list[HistoryEvent] = []
    with HistoryWriter(tmp_path / "run.jsonl", clock=lambda: 5.0) as writer:
        stop = writer.listen(heard.append)
        writer.note(EventKind.KILLED, by="test", worker_id="w1")
        stop()
        writer.note(EventKind.UP, by="test", worker_id="w1")
    assert [event.kind for event in heard] == [EventKind.KILLED]
    assert [event.kind for event in read_events(tmp_path / "run.jsonl")] == [EventKind.KILLED, EventKind.UP]
