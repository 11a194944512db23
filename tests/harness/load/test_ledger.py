from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load.latencies import Metric, Transport
from harness.load.ledger import ACKNOWLEDGED, Complaint, Latency, Ledger, Outcome
from harness.load.population import PlannedJob, planned
from harness.protocols import EventKind, JobEvent, JobState, Submission
from harness.protocols.script import MAX_RETRIES


def job(job_id: str = "j", *steps: dict[str, Any], **more: Any) -> PlannedJob:
    return planned(Submission(job_id=job_id, payload={"simulate": list(steps)}), **more)


def submitted(plan: PlannedJob | None = None, *, transport: Transport = Transport.SSE) -> Ledger:
    ledger = Ledger()
    ledger.submit(plan or job(), transport, "user-1", intended=100.0, sent=100.25)
    return ledger


def heard(
    ledger: Ledger, kind: EventKind, *, seen: float = 101.0, **more: object
) -> tuple[dict[Metric, float], list[Complaint]]:
    latencies, complaints = ledger.see(JobEvent(kind=kind, job_id="j", **more), seen)  # type: ignore[arg-type]
    return {latency.metric: latency.seconds for latency in latencies}, complaints


def test_latencies_count_from_the_intended_moment_not_from_the_sending() -> None:
    ledger = Ledger()
    late = ledger.submit(job(), Transport.SSE, "user-1", intended=100.0, sent=103.0)
    assert late == [Latency(Metric.SENT, Transport.SSE, 100.0, 3.0, "j")]
    assert ledger.accept("j", 103.5) == [Latency(Metric.ACCEPTED, Transport.SSE, 100.0, 3.5, "j")]
    assert heard(ledger, EventKind.CLAIMED, seen=104.0, at=103.75)[0] == {Metric.CLAIM_SEEN: 4.0, Metric.CLAIMED: 3.75}
    assert heard(ledger, EventKind.COMPLETED, seen=105.0)[0] == {Metric.ENDED: 5.0}


def test_progress_is_compared_with_the_workers_own_send_time() -> None:
    assert heard(submitted(), EventKind.PROGRESS, seen=101.5, sent_at=101.25, progress=10)[0] == {
        Metric.PROGRESS_SEEN: 0.25
    }


def test_a_second_claim_is_not_a_second_claim_latency() -> None:
    ledger = submitted()
    heard(ledger, EventKind.CLAIMED, at=100.5)
    assert heard(ledger, EventKind.CLAIMED, at=130.0)[0] == {}


def test_a_second_end_is_complained_of() -> None:
    ledger = submitted()
    heard(ledger, EventKind.COMPLETED)
    assert heard(ledger, EventKind.COMPLETED)[1] == [Complaint.ENDED_TWICE]
    assert heard(ledger, EventKind.PROGRESS)[1] == [Complaint.EVENT_AFTER_END]
    assert ledger.jobs().outcomes[Outcome.COMPLETED] == 1


def test_a_cancellation_that_looked_like_an_answer_may_come_once_more() -> None:
    cancelled = JobEvent(kind=EventKind.CANCELLED, job_id="j")
    ledger = submitted(job(cancel_on=EventKind.ACCEPTED))
    assert ledger.see(cancelled, 101.0, answered=True)[1] == []
    assert [ledger.see(cancelled, 102.0)[1] for _ in range(2)] == [[], [Complaint.ENDED_TWICE]]


def test_an_end_after_the_answer_that_told_it_is_complained_of() -> None:
    ledger = submitted()
    completed = JobEvent(kind=EventKind.COMPLETED, job_id="j")
    assert ledger.see(completed, 101.0, answered=True)[1] == []
    assert ledger.see(completed, 102.0)[1] == [Complaint.ENDED_TWICE]


def test_progress_that_goes_back_is_complained_of_but_not_in_a_new_attempt() -> None:
    ledger = submitted()
    heard(ledger, EventKind.PROGRESS, progress=50)
    assert heard(ledger, EventKind.PROGRESS, progress=40)[1] == [Complaint.PROGRESS_WENT_BACK]
    heard(ledger, EventKind.ATTEMPT_FAILED)
    assert heard(ledger, EventKind.PROGRESS, progress=10)[1] == []


def test_an_end_that_the_script_does_not_lead_to_is_complained_of() -> None:
    failing = job("j", {"fail": "each time"})
    assert heard(submitted(), EventKind.FAILED)[1] == [Complaint.NOT_EXPECTED]
    assert heard(submitted(failing), EventKind.FAILED)[1] == []
    assert heard(submitted(failing), EventKind.COMPLETED)[1] == [Complaint.NOT_EXPECTED]
    assert heard(submitted(), EventKind.CANCELLED)[1] == [Complaint.NOT_EXPECTED]
    assert heard(submitted(job(cancel_on=EventKind.ACCEPTED)), EventKind.CANCELLED)[1] == []


def test_a_result_of_another_job_is_complained_of() -> None:
    mine = job(result={"job": "j"})
    assert heard(submitted(mine), EventKind.COMPLETED, result={"job": "j"})[1] == []
    assert heard(submitted(mine), EventKind.COMPLETED, result={"job": "k"})[1] == [Complaint.WRONG_RESULT]
    assert heard(submitted(mine), EventKind.COMPLETED)[1] == [Complaint.WRONG_RESULT]


def test_the_last_failed_attempt_is_the_end_where_the_protocol_has_no_word_for_it() -> None:
    failing = job("j", {"fail": "each time"})
    for transport, outcome in ((Transport.WEBSOCKET, Outcome.FAILED), (Transport.SSE, Outcome.UNANSWERED)):
        ledger = submitted(failing, transport=transport)
        for _ in range(MAX_RETRIES + 1):
            assert ledger.outstanding == 1
            assert heard(ledger, EventKind.ATTEMPT_FAILED)[1] == []
        assert ledger.jobs().outcomes[outcome] == 1


def test_what_was_never_answered_and_is_not_known_is_asked_for_once_more_and_then_not_waited_for() -> None:
    ledger = submitted()
    assert (ledger.unknown("j"), ledger.outstanding) == (True, 1)
    assert (ledger.unknown("j"), ledger.outstanding) == (False, 0)
    assert ledger.open_jobs("user-1") == ["j"], "it is still asked for at the end"
    assert ledger.jobs().outcomes[Outcome.UNANSWERED] == 1


def test_what_was_acknowledged_is_waited_for_also_where_it_is_not_known() -> None:
    ledger = submitted()
    ledger.accept("j", 101.0)
    assert [ledger.unknown("j") for _ in range(3)] == [False] * 3
    assert ledger.outstanding == 1


def test_an_effect_before_its_cause_is_complained_of() -> None:
    assert heard(submitted(), EventKind.CLAIMED, at=99.9)[1] == [Complaint.CLOCKS]
    assert heard(submitted(), EventKind.CLAIMED, at=99.9995)[1] == []


def test_the_audit_tells_lost_from_unfinished_from_unseen() -> None:
    said = {"a": JobState.UNKNOWN, "b": JobState.PENDING, "c": JobState.COMPLETED, "d": None}
    ledger = Ledger()
    for job_id in said:
        ledger.submit(job(job_id), Transport.WEBSOCKET, "u", intended=0, sent=0)
        ledger.accept(job_id, 0)
    assert ledger.open_jobs("u") == list(said)
    for job_id, state in said.items():
        ledger.audit(job_id, state)
    counts = ledger.jobs().outcomes
    assert [counts[o] for o in (Outcome.LOST, Outcome.UNFINISHED, Outcome.END_UNSEEN, Outcome.UNKNOWN)] == [1, 1, 1, 1]
    assert ledger.jobs().named[Outcome.LOST] == ["a"]


def test_of_a_client_that_was_sent_away_the_submissions_without_an_answer_are_noted_and_of_no_other() -> None:
    ledger = Ledger()
    for number, user in enumerate(("user-1", "user-1", "user-2")):
        ledger.submit(job(f"j{number}"), Transport.WEBSOCKET, user, intended=100.0 + number, sent=100.0 + number)
    ledger.accept("j0", 101.0)
    ledger.sent_away("user-1")
    ledger.submit(job("later"), Transport.WEBSOCKET, "user-1", intended=110.0, sent=110.0)
    for job_id in ("j1", "j2"):
        ledger.audit(job_id, None)
    assert sorted(ledger.jobs().unanswered_at) == [(101.0, True), (102.0, False), (110.0, False)]


def test_a_submission_without_an_answer_is_no_promise() -> None:
    ledger = submitted()
    ledger.audit("j", JobState.UNKNOWN)
    assert ledger.jobs().outcomes[Outcome.UNANSWERED] == 1
    assert ledger.jobs().acknowledged == 0


steps = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.one_of(
            st.sampled_from(["submit", "accept", "refuse"]),
            st.sampled_from(list(EventKind)),
            st.sampled_from([None, *JobState]).map(lambda state: ("audit", state)),
        ),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(steps)
def test_every_submission_is_in_exactly_one_outcome(steps: list[tuple[int, object]]) -> None:
    ledger, submitted_ids = Ledger(), set()
    for number, step in steps:
        job_id = f"job-{number}"
        if step == "submit" and job_id not in submitted_ids:
            submitted_ids.add(job_id)
            ledger.submit(job(job_id), Transport.SSE, "u", intended=0, sent=0)
        elif step == "accept":
            ledger.accept(job_id, 1)
        elif step == "refuse":
            ledger.refuse(job_id)
        elif isinstance(step, EventKind):
            ledger.see(JobEvent(kind=step, job_id=job_id), 1)
        elif isinstance(step, tuple):
            ledger.audit(job_id, step[1])
    counts = ledger.jobs().outcomes
    assert sum(counts.values()) == ledger.jobs().submitted
    assert sum(counts[outcome] for outcome in ACKNOWLEDGED) == ledger.jobs().acknowledged


def test_the_audit_complains_of_an_end_that_the_script_does_not_lead_to() -> None:
    """A client of the hub cannot tell a last failure from one that is retried: the server's answer does."""
    ledger = submitted(transport=Transport.WEBSOCKET)
    heard(ledger, EventKind.ATTEMPT_FAILED)
    assert ledger.audit("j", JobState.FAILED) == [Complaint.NOT_EXPECTED]
    assert submitted().audit("j", JobState.COMPLETED) == []


def test_a_job_is_known_by_the_id_that_the_server_gave_it_and_no_two_by_one() -> None:
    ledger = submitted(job("asked"))
    assert ledger.rename("asked", "j")
    heard(ledger, EventKind.COMPLETED)
    assert ledger.jobs().outcomes[Outcome.COMPLETED] == 1
    ledger.submit(job("other"), Transport.SSE, "user-1", intended=100.0, sent=100.25)
    assert not ledger.rename("other", "j")
    assert ledger.jobs().outcomes[Outcome.UNANSWERED] == 1
