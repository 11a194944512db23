"""Reading server-sent events, whatever the pieces they come in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from new_stack.client.errors import ClientError
from new_stack.client.sse import SseMessage, SseReader

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
