from __future__ import annotations

from harness import defects
from harness.criteria.claims import CRITERION
from harness.criteria.definition import Judged
from harness.gate.phase_failure import DIED
from harness.gate.selftest import COST, has_crashed, headline, judge
from harness.results import (
    Comparison,
    Criterion,
    DefectRow,
    Detection,
    Measurement,
    Parts,
    Run,
    Threshold,
    Verdict,
    conclude,
)
from tests.reports.samples import about

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
    assert len(defects.all()) >= 20


def test_a_failure_by_a_crash_is_told_apart() -> None:
    measured = Measurement(what=DIED, observed=1, threshold=ZERO)
    assert has_crashed(CRITERION.concluded(Judged(measurements=[measured])))
    assert not has_crashed(Criterion.unmeasured(CRITERION, "no"))
