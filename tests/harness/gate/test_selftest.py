from __future__ import annotations

from harness import defects
from harness.criteria.claims import CRITERION
from harness.criteria.definition import Judged
from harness.gate.context import DIED
from harness.gate.selftest import COST, headline, judge, says
from harness.results import (
    Comparison,
    DefectRow,
    Detection,
    Measurement,
    Parts,
    Run,
    Threshold,
    Verdict,
    conclude,
    count,
)
from tests.reports.samples import about, fails

ZERO = Threshold(comparison=Comparison.EQUAL, limit=0)


def row(name: str, detection: Detection = Detection.CAUGHT) -> DefectRow:
    return DefectRow(id=name, mistake="A mistake.", expected_by=("claims",), caught_by=("claims",), detection=detection)


def sound(observed: float | None = 0) -> Run:
    measured = Measurement(what="lost", observed=observed, threshold=ZERO)
    return conclude(about("selftest", 1.0), Parts(criteria=[CRITERION.concluded(Judged(measurements=[measured]))]))


def test_all_caught_and_a_sound_stack_that_passes_is_a_gate_to_trust() -> None:
    criterion = judge([row("a"), row("b")], sound(), least=2)
    assert criterion.verdict is Verdict.PASS
    assert "can be trusted" in headline(criterion.verdict, [row("a"), row("b")])


def test_one_that_slips_through_fails_and_is_named() -> None:
    for how in (Detection.MISSED, Detection.ELSEWHERE, Detection.NOT_RUN):
        criterion = judge([row("a"), row("sly", how)], sound(), least=2)
        assert criterion.verdict is Verdict.FAIL
        assert "sly" in criterion.explanation


def test_being_caught_proves_nothing_where_the_sound_stack_does_not_pass() -> None:
    assert judge([row("a"), row("b")], sound(observed=1), least=2).verdict is Verdict.FAIL


def test_a_selftest_of_too_few_defects_is_inconclusive() -> None:
    assert judge([row("a")], sound(), least=20).verdict is Verdict.INCONCLUSIVE


def test_every_criterion_that_should_catch_a_defect_has_its_place() -> None:
    expected = {which for defect in defects.all() for which in defect.caught_by}
    assert expected <= set(COST)
    assert len(defects.all()) >= 90


def test_a_failure_by_a_crash_is_the_right_reason_for_none_that_does_not_name_it() -> None:
    crash = CRITERION.concluded(Judged(measurements=[count(DIED, 1)], explanation="worker-1 ended with status 1."))
    run = conclude(about("selftest", 1.0), Parts(criteria=[crash]))
    assert says(run, crash, ["ended on their own"])
    assert not says(run, crash, ["test_an_order", "lost"])


def test_the_reason_may_stand_in_what_differs_in_a_recording() -> None:
    run = fails()
    (failed,) = [criterion for criterion in run.criteria if criterion.id == "compatibility"]
    assert says(run, failed, ["job_submitted where the hub answers job_accepted"])
    assert not says(run, failed, ["fail_job"])
