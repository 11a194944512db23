"""A job's stream: server-sent events in chunks of any size, each event once, in order, resumed from the right place."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from new_stack.client.errors import ClientError, ServerUnavailable
from new_stack.client.event_stream import Cursor, SseMessage, SseReader, is_later
from new_stack.client.types import Gap, JobEvent

STREAM = (
    "\ufeffretry: 1500\n\n: keep-alive\n\n"
    'id: 1-0\nevent: progress\ndata: {"a":\ndata: 1}\n\n'
    "id: 2-0\r\nevent: completed\r\ndata: größe\r\n\r\n"
    "data:no space\rdata:  two spaces\r\r"
    "event: nothing to say\n\n"
    "id: with\0nul\nretry: soon\nunknown: field\ndata\n\n"
    "data: cut off"
).encode()

MESSAGES = [
    SseMessage("progress", '{"a":\n1}', "1-0"),
    SseMessage("completed", "größe", "2-0"),
    SseMessage("message", "no space\n two spaces", "2-0"),
    SseMessage("message", "", "2-0"),
]


def read(*chunks: bytes) -> tuple[list[SseMessage], SseReader]:
    reader = SseReader()
    return [message for chunk in chunks for message in reader.feed(chunk)], reader


def test_fields_comments_and_line_ends_are_read_as_the_standard_says() -> None:
    messages, reader = read(STREAM)
    assert messages == MESSAGES
    assert (reader.last_id, reader.retry_ms) == ("2-0", 1500)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_the_same_messages_come_however_the_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in pairwise(places)))[0] == MESSAGES


def test_byte_by_byte() -> None:
    assert read(*(bytes([byte]) for byte in STREAM))[0] == MESSAGES


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 2_000, b"data: x\n" * 300])
def test_an_event_without_end_is_not_collected_without_end(endless: bytes) -> None:
    reader = SseReader(limit=100)
    with pytest.raises(ClientError, match="more than 100 bytes"):
        list(reader.feed(endless))


def message(event_id: str, kind: str, **more: object) -> SseMessage:
    return SseMessage(kind, msgspec.json.encode({"job_id": "j", "kind": kind, **more}).decode(), event_id)


def test_an_event_is_typed_and_moves_the_cursor() -> None:
    cursor = Cursor("j")
    event = cursor.take(message("5-1", "progress", progress=40, at=5, unknown="field"))
    assert isinstance(event, JobEvent)
    assert (event.kind, event.progress, event.id, event.at) == ("progress", 40, "5-1", 5)
    assert (cursor.after, cursor.ended) == ("5-1", False)


def test_what_was_had_before_is_not_had_again() -> None:
    cursor = Cursor("j", after="5-1")
    assert cursor.take(message("5-1", "progress")) is None
    assert cursor.take(message("4-9", "claimed")) is None
    assert cursor.take(message("5-2", "progress")) is not None
    assert cursor.take(message("10-0", "progress")) is not None


def test_an_ending_counts_whatever_its_id() -> None:
    cursor = Cursor("j", after="5-1")
    event = cursor.take(message("5-0", "completed", result={"n": 1}))
    assert isinstance(event, JobEvent)
    assert (event.result, cursor.ended, cursor.after) == ({"n": 1}, True, "5-1")


def test_a_gap_and_a_disconnection_are_told() -> None:
    cursor = Cursor("j", after="1-0")
    gap = cursor.take(SseMessage("gap", '{"reason":"trimmed","oldest":"3-0"}', ""))
    assert gap == Gap(job_id="j", reason="trimmed", oldest="3-0")
    with pytest.raises(ServerUnavailable, match="shutting down"):
        cursor.take(SseMessage("disconnect", '{"reason":"shutting down"}', ""))


def test_a_kind_of_event_from_a_newer_server_is_passed_over() -> None:
    assert Cursor("j").take(message("1-0", "reincarnated")) is None


def test_ids_are_compared_as_numbers() -> None:
    assert is_later("10-0", "9-0")
    assert is_later("9-10", "9-9")
    assert not is_later("9-9", "9-9")
    assert is_later("1-0", None)
