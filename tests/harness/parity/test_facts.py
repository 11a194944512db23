from pathlib import Path
from typing import Any

import pytest

from harness.cassettes import Receive, load
from harness.parity import compare
from harness.parity.facts import as_facts, asks_for_facts, fact_of_event, fact_of_message
from harness.parity.findings import is_critical

FOLDER = Path(__file__).parents[3] / "scenarios" / "cassettes"
CASSETTES = {path.stem: load(path) for path in sorted(FOLDER.glob("*.jsonl"))}

SAME_FACTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "response_job_status", "job_id": "j", "status": "processing", "worker_id": "w"},
        {"kind": "claimed", "job_id": "j", "worker_id": "w", "attempt": 1},
    ),
    (
        {"type": "update_job_progress", "job_id": "j", "worker_id": "w", "progress": 5, "status": "processing"},
        {"kind": "progress", "job_id": "j", "worker_id": "w", "progress": 5.0, "status": "processing"},
    ),
    (
        {"type": "complete_job", "job_id": "j", "worker_id": "w", "result": {"a": 1}},
        {"kind": "completed", "job_id": "j", "worker_id": "w", "result": {"a": 1}},
    ),
    (
        {"type": "fail_job", "job_id": "j", "worker_id": "w", "error": "x"},
        {"kind": "attempt_failed", "job_id": "j", "worker_id": "w", "error": "x"},
    ),
    (
        {"type": "fail_job", "job_id": "j", "worker_id": "w", "error": "x"},
        {"kind": "failed", "job_id": "j", "worker_id": "w", "error": "x"},
    ),
    (
        {"type": "response_job_status", "job_id": "j", "status": "cancelled", "message": "Job cancelled: enough"},
        {"kind": "cancelled", "job_id": "j", "message": "enough"},
    ),
]


@pytest.mark.parametrize(("message", "event"), SAME_FACTS)
def test_both_protocols_tell_the_same_fact(message: dict[str, Any], event: dict[str, Any]) -> None:
    assert fact_of_message(message) == fact_of_event(event) is not None


@pytest.mark.parametrize("kind", ["submitted", "released", "lease_expired", "retried", "gap"])
def test_what_the_old_protocol_has_no_word_for_is_no_fact(kind: str) -> None:
    assert fact_of_event({"kind": kind, "job_id": "j"}) is None


def test_small_talk_is_no_fact() -> None:
    keep_alive = {"type": "response_job_status", "job_id": "keep-alive", "status": "acknowledged"}
    assert fact_of_message(keep_alive) is None
    assert fact_of_message({"type": "error", "error": "x"}) is None
    assert fact_of_message("text") is None


def test_a_recording_as_facts_is_the_same_as_itself_and_a_fact_lost_is_found() -> None:
    facts = as_facts(CASSETTES["happy-path"].events)
    told = [event.content["type"] for event in facts if isinstance(event, Receive) and event.actor == "client-a"]
    assert told == ["accepted", "claimed", "progress", "progress", "progress", "completed"]
    assert compare(facts, facts) == []
    last = max(n for n, event in enumerate(facts) if isinstance(event, Receive) and event.actor == "client-a")
    findings = compare(facts, facts[:last] + facts[last + 1 :])
    assert [(finding.kind.value, finding.message_type) for finding in findings] == [("missing", "completed")]
    assert is_critical(findings[0])


def test_a_cancellation_told_twice_is_one_fact() -> None:
    facts = as_facts(CASSETTES["cancel-pending"].events)
    told = [event.content["type"] for event in facts if isinstance(event, Receive) and event.actor == "client-a"]
    assert told == ["accepted", "cancelled"]


def test_only_recordings_with_jobs_can_be_played_by_another_kind_of_client() -> None:
    assert asks_for_facts(CASSETTES["happy-path"].events)
    assert not asks_for_facts(CASSETTES["rest-submit-and-poll"].events)
    assert not asks_for_facts(CASSETTES["connect-each-role"].events)
