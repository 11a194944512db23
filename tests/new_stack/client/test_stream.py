"""The rules of following a job: each event once, in order, and on from the right place."""

from __future__ import annotations

import msgspec
import pytest

from new_stack.client.sse import SseMessage
from new_stack.client.stream import Cursor, Disconnected, later
from new_stack.client.words import Gap, JobEvent


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
    with pytest.raises(Disconnected, match="shutting down"):
        cursor.take(SseMessage("disconnect", '{"reason":"shutting down"}', ""))


def test_a_kind_of_event_from_a_newer_server_is_passed_over() -> None:
    assert Cursor("j").take(message("1-0", "reincarnated")) is None


def test_ids_are_compared_as_numbers() -> None:
    assert later("10-0", "9-0")
    assert later("9-10", "9-9")
    assert not later("9-9", "9-9")
    assert later("1-0", None)
