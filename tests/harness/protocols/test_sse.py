from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.protocols.sse import SseEvent, SseParser


def test_a_stream_is_read_as_the_standard_says() -> None:
    parser = SseParser()
    written = [": hi", "retry: 250", "id: 7-0", "event: progress", "data: a", "data:b", ""]
    assert [event for line in written if (event := parser.feed_line(line))] == [
        SseEvent(event="progress", data="a\nb", id="7-0")
    ]
    assert (parser.last_id, parser.retry_ms) == ("7-0", 250)
    assert parser.feed_line("") is None
    parser.feed_line("data: c")
    assert parser.feed_line("") == SseEvent(event="message", data="c", id="7-0")


def test_a_new_stream_drops_what_was_incomplete_and_keeps_the_cursor() -> None:
    parser = SseParser()
    assert list(parser.feed(b"id: 1\ndata: whole\n\nid: 2\ndata: ha")) == [
        SseEvent(event="message", data="whole", id="1")
    ]
    parser.reconnected()
    assert list(parser.feed(b"data: next\n\n")) == [SseEvent(event="message", data="next", id="1")]


def test_data_is_json_or_a_text() -> None:
    assert SseEvent(event="e", data='{"a": 1}', id="").json() == {"a": 1}
    assert SseEvent(event="e", data="a text", id="").json() == "a text"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text("ab: c", min_size=1), st.text("xyz:\u2028", min_size=1)), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 7),
)
def test_what_a_server_writes_is_read_however_its_bytes_arrive(
    events: list[tuple[str, str]], end: str, size: int
) -> None:
    parser = SseParser()
    lines = [
        line for n, (event, data) in enumerate(events) for line in (f"id: {n}", f"event: {event}", f"data: {data}", "")
    ]
    written = "".join(line + end for line in lines).encode() + b":\n"
    read = [found for at in range(0, len(written), size) for found in parser.feed(written[at : at + size])]
    assert read == [SseEvent(id=str(n), event=event, data=data) for n, (event, data) in enumerate(events)]


def test_a_line_without_an_end_is_dropped_and_the_next_event_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.protocols.sse.LARGEST_LINE", 100)
    parser = SseParser()
    assert [event for _ in range(20) for event in parser.feed(b"data: " + b"x" * 30)] == []
    assert [event.data for event in parser.feed(b"\n\ndata: next\n\n")][-1] == "next"
