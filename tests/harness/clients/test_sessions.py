"""Sessions, fed by hand and by recordings: no socket, no clock."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harness.clients.sessions import HubSession, StackSession
from harness.protocols import EventKind, JobEvent, JobState, Mode, Submission
from harness.protocols.sse import SseEvent

CASSETTES = Path(__file__).parents[3] / "scenarios" / "cassettes"


class Client:
    """A session of the hub's dialect and all that it observed."""

    def __init__(self, role: str = "client") -> None:
        self.observed: list[JobEvent] = []
        ticks = count(1)
        self.session = HubSession("c", role=role, observe=self.observed.append, clock=lambda: float(next(ticks)))

    def told(self, **frame: Any) -> None:
        self.session.receive(json.dumps(frame))

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.observed]


def accepted(job_id: str) -> dict[str, str]:
    return {"type": "job_accepted", "job_id": job_id}


def status(job_id: str, word: str) -> dict[str, str]:
    return {"type": "response_job_status", "job_id": job_id, "status": word}


def test_submissions_are_answered_in_their_order_and_by_their_ids() -> None:
    client = Client()
    for job in (Submission(service="a"), Submission(service="b", job_id="mine"), Submission(service="c")):
        client.session.submit(job)
    assert client.kinds == [EventKind.SUBMIT]
    for job_id in ("mine", "job-1", "job-2"):
        client.told(**accepted(job_id))
    assert [(e.job_id, e.service) for e in client.observed if e.kind is EventKind.ACCEPTED] == [
        ("mine", "b"),
        ("job-1", "a"),
        ("job-2", "c"),
    ]
    submits = {event.job_id: event.at for event in client.observed if event.kind is EventKind.SUBMIT}
    assert submits == {"job-1": 1.0, "mine": 2.0, "job-2": 3.0}, "each at the time when it was sent"
    assert {e.mode for e in client.observed if e.kind is EventKind.SUBSCRIBED} == {Mode.WHOLE}


def test_an_error_refuses_the_oldest_submission_without_an_answer() -> None:
    client = Client()
    client.session.submit(Submission(job_id="first"))
    client.session.submit(Submission(job_id="second"))
    client.told(type="error", error="no such type")
    client.told(**accepted("second"))
    client.told(type="error", error="Unsupported message type: x")
    refusals = [event.job_id for event in client.observed if event.kind is EventKind.REFUSED]
    assert refusals == ["first", ""]


def test_an_error_that_answers_another_question_refuses_no_submission() -> None:
    client = Client()
    client.session.submit(Submission(job_id="mine"))
    client.told(type="error", error="Failed to cancel job j. Job may not exist or is already in a terminal state.")
    assert [event.job_id for event in client.observed if event.kind is EventKind.REFUSED] == [""]
    client.told(**accepted("mine"))
    assert EventKind.ACCEPTED in client.kinds


def test_a_cancel_is_answered_once_and_delivered_once() -> None:
    client = Client()
    client.session.cancel("a")
    client.told(**status("a", "cancelled"))
    client.told(**status("a", "cancelled"))
    assert client.kinds == [EventKind.CANCEL, EventKind.CANCEL_ACCEPTED, EventKind.CANCELLED]


def test_an_answer_to_a_question_is_no_update() -> None:
    client = Client()
    client.session.ask("a")
    client.told(**status("a", "cancelled"))
    client.told(**status("a", "processing"))
    assert client.observed[0] == JobEvent(kind=EventKind.STATUS, job_id="a", state=JobState.CANCELLED)
    assert client.kinds[1:] == [EventKind.CLAIMED]
    client.told(**status("b", "claimed"))
    assert len(client.kinds) == 2, "a state that nobody asked for is no update"


def test_a_claim_that_is_told_before_the_answer_is_not_taken_for_the_answer() -> None:
    client = Client()
    client.session.ask("a")
    client.told(**status("a", "processing"))
    client.told(**status("a", "claimed"))
    assert client.kinds == [EventKind.CLAIMED, EventKind.STATUS]


def test_a_question_that_the_server_could_not_serve_waits_for_no_answer() -> None:
    """Redis was away when it asked: the cancellation that is told later is the job's end, not the answer."""
    client = Client()
    for ask in (client.session.ask, client.session.cancel):
        ask("a")
        client.told(type="error", error="Server error processing message: Redis cannot be reached")
    client.told(**status("a", "cancelled"))
    assert client.kinds == [EventKind.REFUSED, EventKind.CANCEL, EventKind.REFUSED, EventKind.CANCELLED]


def test_a_server_that_serves_nothing_now_refuses_in_the_order_of_the_questions() -> None:
    client = Client()
    client.session.retry("r")
    client.session.ask("a")
    client.told(**status("a", "pending"))
    client.session.subscribe("a")
    client.session.submit(Submission(job_id="mine"))
    for _ in range(2):
        client.told(type="error", error="Server error processing message: Redis cannot be reached")
    refusals = [event.job_id for event in client.observed if event.kind is EventKind.REFUSED]
    assert refusals == ["", "mine"]


def test_a_client_that_reconnects_asks_for_what_it_followed_and_had_no_answer_about() -> None:
    client = Client()
    for job_id in ("done", "open", "lost"):
        client.session.submit(Submission(job_id=job_id))
    client.told(**accepted("done"))
    client.told(**accepted("open"))
    client.told(type="complete_job", job_id="done")
    client.session.disconnected()
    assert [event.job_id for event in client.observed if event.kind is EventKind.UNSUBSCRIBED] == ["open"]
    sent = [(frame["type"], frame["job_id"]) for frame in client.session.reconnected()]
    assert sent == [(word, job_id) for job_id in ("open", "lost") for word in ("subscribe_job", "request_job_status")]
    client.told(type="subscription_confirmed", job_id="open")
    client.told(**status("open", "completed"))
    client.told(type="error", error="Job lost not found")
    assert [(e.kind, e.job_id, e.mode or e.state) for e in client.observed[-3:]] == [
        (EventKind.SUBSCRIBED, "open", Mode.LIVE),
        (EventKind.STATUS, "open", JobState.COMPLETED),
        (EventKind.STATUS, "lost", JobState.UNKNOWN),
    ]
    client.session.disconnected()
    assert client.session.reconnected() == [], "an end that was asked for is an end"


@pytest.mark.parametrize("data", ["no JSON", b"\x00", "[]", '{"type": "ack"}', '{"type": "complete_job"}'])
def test_what_tells_nothing_is_not_observed(data: str | bytes) -> None:
    client = Client()
    client.session.receive(data)
    assert client.observed == []


def test_a_recorded_session_is_observed_as_it_was() -> None:
    client = Client()
    for line in (CASSETTES / "happy-path.jsonl").read_text().splitlines()[1:]:
        event = json.loads(line)
        if event["actor"] != "client-a" or "message" not in event:
            continue
        if event["event"] == "send":
            client.session.submit(Submission(service=event["message"]["job_type"]))
        else:
            client.session.receive_frame(event["message"])
    steps = client.kinds.count(EventKind.PROGRESS)
    assert client.kinds == [
        EventKind.SUBMIT, EventKind.ACCEPTED, EventKind.SUBSCRIBED, EventKind.CLAIMED,
        *[EventKind.PROGRESS] * steps, EventKind.COMPLETED,
    ]  # fmt: skip
    assert steps


def sse(number: int, kind: str, **data: Any) -> SseEvent:
    return SseEvent(id=f"{number}-0", event=kind, data=json.dumps({"kind": kind, **data}))


def test_a_stream_is_taken_up_behind_its_last_event_and_ends_with_the_job() -> None:
    observed: list[JobEvent] = []
    session = StackSession("s", token="t", observe=observed.append, clock=lambda: 1.0)
    stream = session.follow("j")
    assert "Last-Event-ID" not in stream.connect()
    list(stream.parser.feed(b"id: 1-0\ndata: {}\n\nid: 2-0\ndata: ha"))
    stream.receive(sse(1, "progress", job_id="j", progress=5))
    assert not stream.ended
    headers = stream.connect()
    assert (headers["Last-Event-ID"], headers["Authorization"]) == ("1-0", "Bearer t")
    stream.receive(sse(2, "gap", reason="trimmed"))
    stream.receive(sse(3, "completed", job_id="j"))
    assert stream.ended
    assert [(event.kind, event.job_id) for event in observed] == [
        (EventKind.SUBSCRIBED, "j"), (EventKind.PROGRESS, "j"), (EventKind.GAP, "j"), (EventKind.COMPLETED, "j"),
    ]  # fmt: skip


def test_the_stream_of_all_jobs_does_not_end_with_one() -> None:
    stream = StackSession("s").follow_all("7-0")
    assert stream.connect()["Last-Event-ID"] == "7-0"
    stream.receive(sse(8, "completed", job_id="j"))
    assert not stream.ended
    assert stream.receive(SseEvent(id="9", event="message", data="no JSON")) is None


def test_answers_by_http_are_observed() -> None:
    observed: list[JobEvent] = []
    session = StackSession("s", observe=observed.append, clock=lambda: 1.0)
    named, unnamed = Submission(job_id="j", priority=3), Submission()
    assert session.submit(named).body == {"service_required": "simulation", "payload": {}, "priority": 3, "id": "j",
                                          "client_id": "s"}  # fmt: skip
    session.submit(unnamed)
    assert session.submitted(named, 201, {"job_id": "j"}) == "j"
    assert session.submitted(unnamed, 200, {"job_id": "k"}) == "k"
    assert session.submitted(Submission(job_id="bad"), 422, {"detail": "no"}) is None
    assert session.answered("j", 200, {"status": "claimed"}) is JobState.CLAIMED
    assert session.answered("gone", 404, {}) is JobState.UNKNOWN
    assert session.answered("j", 503, {}) is None
    assert [(event.kind, event.job_id) for event in observed] == [
        (EventKind.SUBMIT, "j"), (EventKind.ACCEPTED, "j"), (EventKind.SUBMIT, "k"), (EventKind.ACCEPTED, "k"),
        (EventKind.REFUSED, "bad"), (EventKind.STATUS, "j"), (EventKind.STATUS, "gone"),
    ]  # fmt: skip
    assert observed[4].error == "HTTP 422 no"


def test_a_cancel_that_is_asked_for_twice_is_one_end() -> None:
    """The hub answers the second as it did the first: to the one who asked, and to the one who follows the job."""
    client = Client()
    client.session.cancel("a")
    client.session.cancel("a")
    for _ in range(4):
        client.told(**status("a", "cancelled"))
    assert client.kinds.count(EventKind.CANCELLED) == 1
