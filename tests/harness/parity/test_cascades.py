from typing import Any

from harness.parity.findings import folded
from harness.results import DeclaredBy, Finding, FindingKind

DECLARED = DeclaredBy(name="n", reason="r", owner="o", expires="2027-01-01")


def finding(message_type: str = "complete_job", field: str = "result", **more: Any) -> Finding:
    return Finding(
        **{"kind": FindingKind.CHANGED, "actor": "a", "role": "client", "message_type": message_type, "field": field}
        | more
    )


def follows(*found: tuple[Finding, dict[str, Any]]) -> list[int | None]:
    return [one.follows for one in folded([each for each, _ in found], [frame for _, frame in found])]


def test_a_jobs_later_differences_follow_from_its_first() -> None:
    claim, end = finding("update_job_progress", "progress"), finding()
    assert follows((claim, {"job_id": "j-1"}), (end, {"job_id": "j-1"})) == [None, 0]
    assert follows((claim, {"job_id": "j-1"}), (end, {"job_id": "j-2"})) == [None, None]


def test_another_order_of_work_is_the_cause_of_all_that_follows() -> None:
    given = finding("job_assigned", "job_id", role="worker")
    assert follows((given, {"job_id": "j-1"}), (finding(), {"job_id": "j-2"}), (finding("error", ""), {})) == [
        None,
        0,
        None,
    ]


def test_one_way_of_being_different_is_told_once() -> None:
    assert follows((finding(), {"job_id": "j-1"}), (finding(), {"job_id": "j-2"})) == [None, 0]
    assert follows((finding(), {"job_id": "j-1"}), (finding(field="worker_id"), {"job_id": "j-2"})) == [None, None]


def test_an_acknowledgement_follows_its_message() -> None:
    missing = {"kind": FindingKind.MISSING, "field": ""}
    ack = finding("ack", **missing), {"original_type": "worker_status"}
    assert follows((finding("worker_status", **missing), {}), ack) == [None, 0]
    assert follows((finding("worker_status", kind=FindingKind.EXTRA, field=""), {}), ack) == [None, None]


def test_what_is_excused_causes_nothing_and_follows_from_nothing() -> None:
    declared = finding(declared=DECLARED)
    assert follows((declared, {"job_id": "j-1"}), (finding(), {"job_id": "j-1"})) == [None, None]
    assert follows((finding(), {"job_id": "j-1"}), (declared, {"job_id": "j-1"})) == [None, None]
