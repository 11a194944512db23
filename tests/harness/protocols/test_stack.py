from __future__ import annotations

import inspect

import pytest

from harness.protocols import EventKind, HttpRequest, JobEvent, JobState, JobStatus, Submission, hub, stack
from harness.protocols.description import Described


def test_an_event_of_the_api() -> None:
    data = {"kind": "progress", "job_id": "j", "at": 1500, "progress": 40, "attempt": 2, "details": {"sent_at": 1.25}}
    assert stack.event_of(data, "progress", "7-0") == JobEvent(
        kind=EventKind.PROGRESS, job_id="j", at=1.5, sent_at=1.25, progress=40, attempt=2,
        details={"sent_at": 1.25}, event_id="7-0",
    )  # fmt: skip


def test_an_entry_of_the_stream_in_redis_is_all_text() -> None:
    fields = {"kind": "claimed", "job_id": "a", "at": "1500", "attempt": "2", "worker_id": "w1", "priority": "-3"}
    assert stack.event_of({**fields, "service_required": "simulation"}, event_id="1500-0") == JobEvent(
        kind=EventKind.CLAIMED, job_id="a", at=1.5, worker_id="w1", attempt=2, priority=-3,
        service="simulation", event_id="1500-0",
    )  # fmt: skip


def test_the_kind_stands_in_the_data_or_is_the_events_name() -> None:
    named, unnamed = stack.event_of({"job_id": "j"}, "completed"), stack.event_of({"job_id": "j", "kind": "completed"})
    assert named
    assert named == unnamed
    assert stack.event_of({"job_id": "j"}, "invented") is None
    assert stack.event_of({"kind": "completed"}) is None


def test_a_gap_need_not_name_a_job() -> None:
    gap = stack.event_of({"reason": "trimmed"}, "gap")
    assert gap
    assert (gap.kind, gap.job_id) == (EventKind.GAP, "")
    assert "trimmed" in str(gap.message)


def test_actions_are_requests() -> None:
    job = Submission(service="s", payload={"a": 1}, priority=2, job_id="j")
    body = {"service_required": "s", "payload": {"a": 1}, "priority": 2, "id": "j", "client_id": "c"}
    assert stack.submit(job, "c") == HttpRequest("POST", "/api/jobs", body)
    assert stack.submit(Submission()).body == {"service_required": "simulation", "payload": {}, "priority": 0}
    assert stack.cancel("a/b", "why") == HttpRequest("POST", "/api/jobs/a%2Fb/cancel", {"reason": "why"})
    assert [stack.ask("j").path, stack.retry("j").path, stack.subscribe("j").path] == [
        "/api/jobs/j",
        "/api/jobs/j/retry",
        "/api/jobs/j/progress",
    ]


def test_a_status_is_one_of_the_known_states() -> None:
    body = {"job_id": "j", "status": "completed", "result": {"ok": 1}, "worker_id": ""}
    assert stack.status_of(body) == JobStatus(job_id="j", state=JobState.COMPLETED, result={"ok": 1})
    assert stack.status_of({"job_id": "j", "status": "splendid"}) is None


@pytest.mark.parametrize("name", ["submit", "ask", "cancel", "retry", "subscribe", "event_of", "status_of"])
def test_every_protocol_has_the_same_functions(name: str) -> None:
    described = [one for one in inspect.signature(getattr(Described, name)).parameters if one != "self"]
    for protocol in (hub, stack):
        assert list(inspect.signature(getattr(protocol, name)).parameters) == described


def test_a_complaint_is_the_servers_own() -> None:
    assert stack.complaint(404, {"detail": "no such job"}) == "HTTP 404 no such job"
    assert stack.complaint(500, {}) == "HTTP 500"
