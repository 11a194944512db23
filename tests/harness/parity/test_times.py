from typing import Any

import pytest

from harness.cassettes import Event, Open, Receive, Role, Send
from harness.parity import parity_of
from harness.parity.normalize import disordered

BEGAN_S = 1_795_000_000.0


def transcript(stamp: float, job: dict[str, Any] | None = None, *, sent: float = 0.0) -> list[Event]:
    """A client that is told one thing, a second after it has connected."""
    told = {"type": "job_accepted", "job_id": "a", "timestamp": stamp, "job": job or {}}
    return [
        Open(at=0.0, actor="client-a", role=Role.CLIENT, path="/ws/client/client-a"),
        Send(at=1.0, actor="client-a", message={"type": "submit_job", "timestamp": sent}),
        Receive(at=1_000.0, actor="client-a", message=told),
    ]


def found(observed: list[Event]) -> list[tuple[str, Any]]:
    expected = transcript(BEGAN_S + 1, {"created_at": BEGAN_S, "claimed_at": BEGAN_S + 1})
    findings = parity_of(expected, observed, began=BEGAN_S).findings
    return [(finding.field, finding.observed) for finding in findings]


def job_of(created: float, claimed: float) -> dict[str, Any]:
    return {"created_at": created, "claimed_at": claimed}


SOUND = job_of(BEGAN_S + 0.2, BEGAN_S + 0.9)


def test_times_of_the_run_are_one_as_good_as_another() -> None:
    assert found(transcript(BEGAN_S + 0.9, SOUND)) == []


@pytest.mark.parametrize(
    ("stamp", "told"),
    [
        (980_000_000.0, 980_000_000.0),
        (1_000_000_000.0, "<time in seconds, before the run began>"),
        (BEGAN_S - 3_600, "<time in seconds, before the run began>"),
        (BEGAN_S + 3_600, "<time in seconds, later than it was received>"),
        ((BEGAN_S + 1) * 1_000, "<time in ms>"),
        ("2026-11-18T11:06:41", "<time as ISO 8601 text>"),
    ],
)
def test_a_stamp_of_another_time_or_unit_is_a_change(stamp: Any, told: Any) -> None:
    assert [observed for field, observed in found(transcript(stamp, SOUND)) if field == "timestamp"] == [told]


def test_a_claim_before_the_submission_is_a_change() -> None:
    assert found(transcript(BEGAN_S + 1, job_of(BEGAN_S + 0.9, BEGAN_S + 0.2))) == [
        ("job.claimed_at", "<time before created_at>")
    ]


def test_what_an_actor_said_itself_is_passed_on_and_not_judged() -> None:
    old = BEGAN_S - 86_400
    assert found(transcript(old, SOUND, sent=old)) == []
    assert found(transcript(old, SOUND, sent=old - 1)) != []


@pytest.mark.parametrize(
    ("record", "late"),
    [
        ({"created_at": 1_795_000_001.0, "claimed_at": 1_795_000_001.0, "completed_at": 1_795_000_002.0}, {}),
        ({"created_at": 1_795_000_001.004, "claimed_at": 1_795_000_001.0}, {}),
        ({"created_at": 1_795_000_009.0, "completed_at": 1_795_000_002.0}, {"completed_at": "created_at"}),
        ({"claimed_at": 1_795_000_009_000, "failed_at": 1_795_000_002.0}, {"failed_at": "claimed_at"}),
        ({"created_at": "2026-11-20T10:00:00Z", "ended_at": "2026-11-20T09:00:00Z"}, {"ended_at": "created_at"}),
        ({"created_at": None, "claimed_at": 1_795_000_001.0}, {}),
    ],
)
def test_a_job_is_submitted_claimed_and_ended_in_that_order(record: dict[str, Any], late: dict[str, str]) -> None:
    assert disordered(record) == late
