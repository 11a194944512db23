from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from harness.protocols import LOG_KINDS, EventKind, JobEvent, JobState, JobStatus, Submission, hub
from harness.protocols.hub import ChunkAssembler, ChunksCorrupt, Frame
from harness.protocols.script import Step

CASSETTES = Path(__file__).parents[3] / "scenarios" / "cassettes"


def frames(cassette: str, actor: str, event: str = "receive") -> list[Frame]:
    lines = [json.loads(line) for line in (CASSETTES / f"{cassette}.jsonl").read_text().splitlines()[1:]]
    return [line["message"] for line in lines if line["event"] == event and line["actor"] == actor]


def kinds(cassette: str, actor: str) -> list[EventKind]:
    events = [event for frame in frames(cassette, actor) if (event := hub.event_of(frame))]
    return [event.kind for event in events if event.kind in LOG_KINDS]


@pytest.mark.parametrize(
    ("cassette", "actor"), [("happy-path", "client-a"), ("happy-path-seen-by-monitor", "monitor-a")]
)
def test_a_recorded_life_of_a_job_is_understood(cassette: str, actor: str) -> None:
    found = kinds(cassette, actor)
    progress = [EventKind.PROGRESS] * found.count(EventKind.PROGRESS)
    assert progress
    assert found == [EventKind.CLAIMED, *progress, EventKind.COMPLETED]


def test_a_recorded_failure_is_one_of_an_attempt() -> None:
    assert kinds("fail-until-given-up", "client-a").count(EventKind.ATTEMPT_FAILED) == 4


def test_an_event_has_the_servers_time_and_the_workers() -> None:
    frame = {"type": "update_job_progress", "job_id": "j", "worker_id": "w", "progress": 40, "timestamp": 2.5}
    event = hub.event_of({**frame, "status": "processing", "connector_details": {"sent_at": 1.25}})
    assert event == JobEvent(
        kind=EventKind.PROGRESS, job_id="j", worker_id="w", progress=40, at=2.5, sent_at=1.25,
        status="processing", details={"sent_at": 1.25},
    )  # fmt: skip


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "connection_established", "message": "Welcome"},
        {"type": "subscription_confirmed", "job_id": "stats"},
        {"type": "response_job_status", "job_id": "keep-alive", "status": "acknowledged"},
        {"type": "response_job_status", "job_id": "j", "status": "completed"},
        {"type": "complete_job", "job_id": ""},
        {"type": "complete_job", "job_id": 7},
        {"type": ["complete_job"], "job_id": "j"},
        {"job_id": "j"},
    ],
)
def test_a_frame_that_tells_nothing_of_a_job_is_no_event(frame: Frame) -> None:
    assert hub.event_of(frame) is None


def test_a_cancellation_has_its_reason_and_a_mere_state_has_none() -> None:
    told = {"type": "response_job_status", "job_id": "j", "status": "cancelled"}
    assert hub.event_of({**told, "message": "Job cancelled: too late"}) == JobEvent(
        kind=EventKind.CANCELLED, job_id="j", message="too late"
    )
    assert hub.event_of({**told, "message": None}) == JobEvent(kind=EventKind.CANCELLED, job_id="j")


def test_the_answers_to_a_status_question_are_understood() -> None:
    answer = {"type": "response_job_status", "job_id": "j", "status": "claimed", "worker_id": "w"}
    assert hub.status_of(answer) == JobStatus(job_id="j", state=JobState.CLAIMED, worker_id="w")
    assert hub.status_of({**answer, "status": "processing"}) is None, "that is told of a claim, whoever asked"
    unknown = hub.status_of({"type": "error", "error": "Job j not found"})
    assert unknown == JobStatus(job_id="j", state=JobState.UNKNOWN)
    assert hub.status_of({"type": "error", "error": "Invalid JSON format"}) is None
    assert hub.status_of({"type": "response_job_status", "job_id": "keep-alive", "status": "acknowledged"}) is None


@pytest.mark.parametrize(
    ("state", "end"), [(JobState.FAILED, EventKind.FAILED), (JobState.CLAIMED, None), (JobState.UNKNOWN, None)]
)
def test_a_state_tells_whether_the_job_has_ended(state: JobState, end: EventKind | None) -> None:
    assert JobStatus(job_id="j", state=state).end is end


def test_our_submission_is_one_the_hub_has_seen() -> None:
    sent = [frame for frame in frames("client-chosen-job-id", "client-a", "send") if frame["type"] == "submit_job"]
    assert set(hub.submit(Submission(payload={}, job_id="j"), at=1.0)) == set(sent[0])
    assert "message_id" not in hub.submit(Submission())
    assert hub.submit(Submission())["payload"] == {}


def test_our_workers_frames_are_those_of_recorded_workers() -> None:
    ours = [
        hub.register("w", ["simulation"]),
        hub.claim("w", "j"),
        hub.progress("w", "j", Step(progress=5), 1.0),
        hub.complete("w", "j", {}),
    ]
    recorded = {frame["type"]: set(frame) for frame in frames("happy-path", "worker-a", "send")}
    for frame in ours:
        assert set(frame) <= recorded[frame["type"]] | {"subscribe_to_jobs", "message"}


def test_the_send_time_travels_only_where_the_step_wants_it() -> None:
    assert hub.progress("w", "j", Step(progress=5, stamp=True), 7.0)["connector_details"] == {"sent_at": 7.0}
    assert "connector_details" not in hub.progress("w", "j", Step(progress=5), 7.0)


def test_a_recorded_message_in_pieces_is_put_together_and_checked() -> None:
    pieces = [frame for frame in frames("large-payload-is-chunked", "worker-a") if frame["type"] == "chunked_message"]
    assert len(pieces) > 1
    whole = json.dumps({"type": "job_assigned", "job_id": "j", "params": {"text": "x" * 30}})
    digest = hashlib.md5(whole.encode(), usedforsecurity=False).hexdigest()
    parts = [whole[:20], whole[20:]]
    told = [dict(pieces[n], content=part, total_chunks=2, message_hash=digest) for n, part in enumerate(parts)]
    assembler = ChunkAssembler()
    assert [assembler.feed(piece) for piece in told] == [None, json.loads(whole)]
    assert assembler.feed({"type": "ack"}) == {"type": "ack"}
    assembler.feed(told[0])
    with pytest.raises(ChunksCorrupt, match="do not match its hash"):
        assembler.feed(dict(told[1], content=parts[1] + " "))


@pytest.mark.parametrize("data", ["no JSON", "[1]", "null", b"{}", "[" * 100_000])
def test_what_is_no_json_object_is_no_frame(data: str | bytes) -> None:
    assert hub.parsed(data) is None


@pytest.mark.parametrize(
    ("base", "token", "url"),
    [
        ("http://h:1", None, "ws://h:1/ws/client/a"),
        ("wss://h/base/", "p w", "wss://h/base/ws/client/a?token=p%20w"),
        ("https://h", "t", "wss://h/ws/client/a?token=t"),
    ],
)
def test_a_websockets_address(base: str, token: str | None, url: str) -> None:
    assert hub.websocket_url(base, hub.path_of("client", "a"), token) == url
