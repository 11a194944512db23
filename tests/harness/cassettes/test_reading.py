import contextlib
import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from harness.cassettes import CassetteError, ReadingLimits, Receive, Send, load

HEADER = '{"cassette": 1, "scenario": "s"}'
OPEN = '{"at": 0, "actor": "a", "event": "open", "role": "client", "path": "/ws/client/a"}'
CLOSED = '{"at": 9, "actor": "a", "event": "closed", "code": 1000}'
CASSETTES = sorted((Path(__file__).parents[3] / "scenarios" / "cassettes").glob("*.jsonl"))


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_every_recorded_cassette_is_read_whole(path: Path) -> None:
    cassette = load(path)
    assert cassette.name == path.stem
    assert len(cassette.events) == len(path.read_text().splitlines()) - 1


REQUEST = '{"at": 1, "actor": "http", "event": "request", "method": "GET", "path": "/"}'


def event(text: str) -> str:
    return '{"at": 1, "actor": "a", "event": ' + text + "}"


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ([], 0, "the file is empty"),
        ([OPEN], 1, "has to be the header"),
        (["[1]"], 1, "has to be the header"),
        (['{"cassette": 2, "scenario": "s"}'], 1, "cassette format 2 is not known"),
        (['{"cassette": 1}'], 1, "scenario"),
        ([HEADER], 1, "a header and no event"),
        ([HEADER, OPEN, '{"at": 1, "actor": "a", "event": "sen'], 3, "not JSON"),
        ([HEADER, OPEN, event('"dance"')], 3, "dance"),
        ([HEADER, OPEN, '{"at": "soon", "actor": "a", "event": "close"}'], 3, "at"),
        ([HEADER, OPEN, '{"at": -1, "actor": "a", "event": "close"}'], 3, "0 or more"),
        ([HEADER, OPEN, '{"at": 1, "actor": "", "event": "close"}'], 3, "`actor` is empty"),
        ([HEADER, OPEN, event('"send"')], 3, "either `message` or `text`"),
        ([HEADER, OPEN, event('"send", "message": {}, "text": ""')], 3, "either"),
        ([HEADER, OPEN, event('"close", "surprise": 1')], 3, "surprise"),
        ([HEADER, event('"open", "role": "king", "path": "/"')], 2, "king"),
        ([HEADER, OPEN, OPEN], 3, "has one already"),
        ([HEADER, event('"send", "message": {}')], 2, "has no connection"),
        ([HEADER, OPEN, CLOSED, CLOSED], 4, "has no connection"),
        ([HEADER, OPEN], 2, "ends while a is connected"),
        ([HEADER, event('"response", "status": 200')], 2, "has made no request"),
        ([HEADER, REQUEST, REQUEST], 3, "still waits for an answer"),
        ([HEADER, REQUEST], 2, "before the answer"),
        ([HEADER, OPEN, event('"send", "message": {"x": {"$repeat": ["ab"]}}')], 3, "unit, count"),
        ([HEADER, OPEN, event('"send", "message": {"$repeat": ["ab", 1e11]}')], 3, "unit, count"),
        ([HEADER, OPEN, event('"send", "message": {"$repeat": ["ab", 99999999999]}')], 3, "stands for"),
        ([HEADER, OPEN, event('"receive", "text": {"$elided": 4}')], 3, "elided"),
        ([HEADER, OPEN, event('"send", "message": ' + "[" * 100_000)], 3, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path, lines: list[str], line: int, reason: str) -> None:
    path = written(tmp_path, *lines) if lines else tmp_path / "c.jsonl"
    path.touch()
    with pytest.raises(CassetteError, match=reason) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_recording_cut_off_in_the_middle_of_a_line_is_refused(tmp_path: Path) -> None:
    whole = CASSETTES[0].read_bytes()
    for cut in (len(whole) // 3, len(whole) // 2, len(whole) - 5):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(whole[:cut])
        with pytest.raises(CassetteError):
            load(path)


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(os.urandom(5000))
    with pytest.raises(CassetteError, match=r":1: "):
        load(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(CassetteError, match="No such file"):
        load(tmp_path / "none")


def peak_mb_of_refusing(path: Path, reason: str) -> float:
    tracemalloc.start()
    try:
        with pytest.raises(CassetteError, match=reason):
            load(path)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_a_hundred_megabytes_in_one_line_end_with_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    with path.open("wb") as file:
        file.write(HEADER.encode() + b"\n")
        file.truncate(100_000_000)
    assert peak_mb_of_refusing(path, "line is longer") < 20


def test_a_hundred_megabytes_of_good_lines_end_with_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    line = json.dumps({"at": 1, "actor": "a", "event": "receive", "message": {"type": "x" * 3000}}) + "\n"
    with path.open("w") as file:
        file.write(HEADER + "\n" + OPEN + "\n")
        for _ in range(100_000_000 // len(line)):
            file.write(line)
    assert peak_mb_of_refusing(path, "file is larger") < 120


def test_an_endless_file_ends(tmp_path: Path) -> None:
    assert peak_mb_of_refusing(Path("/dev/zero"), "line is longer") < 20
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def pour() -> None:
        with contextlib.suppress(BrokenPipeError), pipe.open("w") as file:
            file.write(HEADER + "\n" + OPEN + "\n")
            while True:
                file.write((event('"send", "message": {}') + "\n") * 100)

    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    with pytest.raises(CassetteError, match="more than 1,000 events"):
        load(pipe, ReadingLimits(events=1000))


def test_all_repetitions_together_are_bounded(tmp_path: Path) -> None:
    send = '{"at": 1, "actor": "a", "event": "send", "message": {"$repeat": ["ab", 4000000]}}'
    with pytest.raises(CassetteError, match="together"):
        load(written(tmp_path, HEADER, OPEN, *[send] * 20, CLOSED))


def test_a_frame_is_told_apart_from_an_empty_text(tmp_path: Path) -> None:
    send = '{"at": 1, "actor": "a", "event": "send", "text": ""}'
    receive = '{"at": 2, "actor": "a", "event": "receive", "message": {"type": "x"}}'
    events = load(written(tmp_path, HEADER, OPEN, send, receive, CLOSED)).events
    assert isinstance(events[1], Send)
    assert events[1].content == ""
    assert isinstance(events[2], Receive)
    assert events[2].content == {"type": "x"}
