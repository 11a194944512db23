from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load.job_event import Kind
from harness.load.wire import legacy, modern
from harness.load.wire.sse import SseEvent, SseLines

CASSETTES = Path(__file__).parents[3] / "scenarios" / "cassettes"


def frames(cassette: str, actor: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (CASSETTES / f"{cassette}.jsonl").read_text().splitlines()[1:]]
    return [line["message"] for line in lines if line["event"] == "receive" and line["actor"] == actor]


@pytest.mark.parametrize(
    ("cassette", "actor"), [("happy-path", "client-a"), ("happy-path-seen-by-monitor", "monitor-a")]
)
def test_a_recorded_life_of_a_job_is_understood(cassette: str, actor: str) -> None:
    kinds = [news.kind for frame in frames(cassette, actor) if (news := legacy.news_of(frame))]
    progress = [Kind.PROGRESS] * kinds.count(Kind.PROGRESS)
    assert progress
    assert [kind for kind in kinds if kind is not Kind.ACCEPTED] == [Kind.CLAIMED, *progress, Kind.COMPLETED]


def test_a_recorded_failure_is_news_of_an_attempt() -> None:
    kinds = [news.kind for frame in frames("fail-until-given-up", "client-a") if (news := legacy.news_of(frame))]
    assert kinds.count(Kind.ATTEMPT_FAILED) == 4


def test_our_submission_is_one_the_hub_has_seen() -> None:
    sent = [
        json.loads(line)["message"]
        for line in (CASSETTES / "client-chosen-job-id.jsonl").read_text().splitlines()
        if '"submit_job"' in line
    ]
    assert set(legacy.submit("j", "simulation", {}, 0, 1.0)) == set(sent[0])


def test_the_answers_to_a_status_question_are_understood() -> None:
    assert legacy.status_of({"type": "response_job_status", "job_id": "j", "status": "claimed"}) == ("j", "claimed")
    assert legacy.status_of({"type": "error", "error": "Job j not found"}) == ("j", "unknown")
    assert legacy.status_of({"type": "error", "error": "Invalid JSON format"}) is None


def test_an_event_carries_the_workers_stamp() -> None:
    data = {"job_id": "j", "at": 1500, "progress": 40.0, "attempt": 2, "details": {"sent_at": 1.25}}
    news = modern.news_of("progress", data)
    assert news is not None
    assert (news.kind, news.at, news.told_at, news.attempt) == (Kind.PROGRESS, 1.5, 1.25, 2)
    assert modern.news_of("gap", {"reason": "trimmed"}) is None


def test_a_stream_is_read_as_the_standard_says() -> None:
    lines = SseLines()
    fed = [lines.feed(line) for line in [": hi", "retry: 250", "id: 7-0", "event: progress", "data: a", "data:b", ""]]
    assert [event for event in fed if event] == [SseEvent(event="progress", data="a\nb", id="7-0")]
    assert (lines.last_id, lines.retry_ms) == ("7-0", 250)
    assert lines.feed("") is None
    lines.feed("data: c")
    assert lines.feed("") == SseEvent(event="message", data="c", id="7-0")


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("ab: c", min_size=1), st.text("xyz:", min_size=1)), max_size=8))
def test_what_a_server_writes_is_what_is_read(events: list[tuple[str, str]]) -> None:
    lines = SseLines()
    read = []
    for number, (event, data) in enumerate(events):
        written = (f"id: {number}", f"event: {event}", f"data: {data}", "")
        read += [(found.id, found.event, found.data) for line in written if (found := lines.feed(line))]
    assert read == [(str(number), event, data) for number, (event, data) in enumerate(events)]
