import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cassettes import (
    CannotExpand,
    Cassette,
    Close,
    Closed,
    Event,
    Header,
    Note,
    Open,
    Receive,
    Request,
    Response,
    Role,
    Send,
    contracted,
    event_as_line,
    expanded,
    load,
    save,
)

CASSETTES = sorted((Path(__file__).parents[3] / "scenarios" / "cassettes").glob("*.jsonl"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8).filter(lambda k: k[:1] != "$"), inner, max_size=4)
    ),
    max_leaves=12,
)
AT = st.floats(0, 1e7)


@st.composite
def sessions(draw: st.DrawFn) -> list[Event]:
    """One actor's connection, whatever passes on it."""
    actor = draw(st.text(min_size=1, max_size=8))
    frames = draw(
        st.lists(
            st.builds(Send, at=AT, actor=st.just(actor), message=JSON)
            | st.builds(Receive, at=AT, actor=st.just(actor), message=JSON)
            | st.builds(Receive, at=AT, actor=st.just(actor), text=st.text())
            | st.builds(Note, at=AT, actor=st.just(actor), text=st.text()),
            max_size=8,
        )
    )
    opened = draw(st.builds(Open, at=AT, actor=st.just(actor), role=st.sampled_from(Role), path=st.text()))
    return [opened, *frames, Close(at=1, actor=actor), Closed(at=1, actor=actor, code=1000, reason=draw(st.text()))]


@st.composite
def exchanges(draw: st.DrawFn) -> list[Event]:
    """A request and its answer."""
    request = draw(st.builds(Request, at=AT, actor=st.just("http"), method=st.just("POST"), path=st.text(), body=JSON))
    response = draw(st.builds(Response, at=AT, actor=st.just("http"), status=st.integers(100, 599), body=JSON))
    return [request, response]


@given(st.lists(sessions() | exchanges(), min_size=1, max_size=4), st.text())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Event]], about: str
) -> None:
    cassette = Cassette(
        header=Header(cassette=1, scenario="s", about=about), events=tuple(event for part in parts for event in part)
    )
    path = tmp_path_factory.mktemp("cassettes") / "c.jsonl"
    save(cassette, path)
    assert load(path) == cassette


@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_a_recorded_cassette_is_written_as_it_was(path: Path, tmp_path: Path) -> None:
    save(load(path), tmp_path / "again.jsonl")
    before = [json.loads(line) for line in path.read_text().splitlines()]
    assert [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()] == before


@given(st.text(min_size=1, max_size=64), st.integers(0, 20_000))
def test_a_repeated_string_survives_its_short_form(unit: str, count: int) -> None:
    text = unit * count
    assert expanded(contracted({"x": [text]})) == {"x": [text]}


def test_a_long_string_without_a_period_is_elided_and_cannot_be_sent_again() -> None:
    text = "".join(f"{number}," for number in range(3000))
    short: dict[str, Any] = contracted(text)
    assert short == {"$elided": {"length": len(text), "starts": text[:120], "ends": text[-40:]}}
    with pytest.raises(CannotExpand, match="elided"):
        expanded({"payload": short})


def test_long_strings_of_an_event_are_written_in_short() -> None:
    line = event_as_line(Send(at=1, actor="a", message={"blob": "ab" * 5000}))
    assert line == {"at": 1, "actor": "a", "event": "send", "message": {"blob": {"$repeat": ["ab", 5000]}}}
