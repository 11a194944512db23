"""A worker of the hub, fed by hand; `test_clients` has it over a real hub."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.clients.hub_worker import Assignment, WorkerSession
from harness.protocols.hub import Frame
from harness.workers.journal import Journal


def worker(attempts: Counter[str] | None = None) -> WorkerSession:
    return WorkerSession("w", ["simulation"], Counter() if attempts is None else attempts)


def told(session: WorkerSession, **frame: Any) -> tuple[list[Frame], Assignment | None]:
    return session.receive(json.dumps(frame))


def played(session: WorkerSession, *script: dict[str, Any]) -> list[Any]:
    parts = session.play(Assignment("j", {"simulate": list(script)}))
    return [part if isinstance(part, float) else part["type"] for part in parts]


def test_an_idle_worker_claims_what_it_is_offered_and_a_busy_one_does_not() -> None:
    session = worker()
    claims, _ = told(session, type="job_available", job_id="j")
    assert [(frame["type"], frame["job_id"], frame["worker_id"]) for frame in claims] == [("claim_job", "j", "w")]
    assert told(session, type="job_assigned", job_id="j", params={"a": 1}) == ([], Assignment("j", {"a": 1}))
    assert told(session, type="job_available", job_id="k") == ([], None)
    assert session.heartbeat()["status"] == "busy"


def test_a_rejected_claim_is_followed_by_idle() -> None:
    frames, job = told(worker(), type="error", error="Failed to claim job j")
    assert job is None
    assert [(frame["type"], frame["status"]) for frame in frames] == [("worker_status", "idle")]


def test_a_script_is_played_to_its_end_and_then_the_worker_is_idle() -> None:
    session = worker()
    told(session, type="job_assigned", job_id="j", params={})
    assert played(session, {"sleep_ms": 20, "progress": 5}, {"result": 1}) == [
        0.02, "update_job_progress", "complete_job", "worker_status",
    ]  # fmt: skip
    assert session.heartbeat()["status"] == "idle"


def test_the_workers_of_a_run_count_attempts_together() -> None:
    attempts: Counter[str] = Counter()
    failing = {"fail": "no memory", "attempts": 1}
    assert played(worker(attempts), failing) == ["fail_job", "worker_status"]
    assert played(worker(attempts), failing) == ["complete_job", "worker_status"]


def test_workers_in_processes_of_their_own_count_attempts_by_their_journals(tmp_path: Path) -> None:
    failing = {"fail": "no memory", "attempts": 1}

    def alone(name: str) -> list[Any]:
        return played(WorkerSession("w", ["simulation"], Counter(), Journal(tmp_path, name)), failing)

    assert alone("one") == ["fail_job", "worker_status"]
    assert alone("two") == ["complete_job", "worker_status"]


def test_a_script_that_hangs_and_one_that_is_none() -> None:
    assert next(worker().play(Assignment("j", {"simulate": [{"hang": True}]}))) == math.inf
    first = next(worker().play(Assignment("j", {"simulate": "dance"})))
    assert isinstance(first, dict)
    assert "is not a script" in first["error"]


def test_a_job_in_pieces_is_given_once_it_is_whole() -> None:
    session = worker()
    whole = json.dumps({"type": "job_assigned", "job_id": "j", "params": {"blob": "x" * 50}})
    digest = hashlib.md5(whole.encode(), usedforsecurity=False).hexdigest()
    piece = {"type": "chunked_message", "message_id": "m", "total_chunks": 2, "message_hash": digest}
    assert told(session, **piece, content=whole[:9]) == ([], None)
    _, job = told(session, **piece, content=whole[9:])
    assert job == Assignment("j", {"blob": "x" * 50})


def test_a_new_connection_begins_with_a_registration_and_without_the_old_job() -> None:
    session = worker()
    told(session, type="worker_registered")
    told(session, type="job_assigned", job_id="j", params={})
    assert session.registered
    assert [frame["type"] for frame in session.connected()] == ["register_worker"]
    assert not session.registered
    assert session.heartbeat()["status"] == "idle"


@pytest.mark.parametrize("data", ["no JSON", b"\x00", '{"type": "job_available"}', '{"type": "ack"}'])
def test_what_means_nothing_to_a_worker_is_passed_over(data: str | bytes) -> None:
    assert worker().receive(data) == ([], None)
