from __future__ import annotations

from harness.gate.phases.faults import LONGEST, NEVER, compare, outcome_of
from harness.history import CheckResult, History, check_all
from harness.results import FaultOutcome, Standing


def outcome(**figures: float) -> FaultOutcome:
    return FaultOutcome(sentence="", figures=figures)


def test_fewer_jobs_in_trouble_is_better_whatever_it_took() -> None:
    stack, hub = outcome(lost=0, **{LONGEST: 12_000}), outcome(lost=1, **{LONGEST: 100})
    assert compare(stack, hub) is Standing.BETTER
    assert compare(hub, stack) is Standing.WORSE


def test_the_same_trouble_is_told_apart_by_how_long_it_took() -> None:
    quick, slow = outcome(**{NEVER: 0, LONGEST: 10_000}), outcome(**{NEVER: 0, LONGEST: 30_000})
    assert compare(quick, slow) is Standing.BETTER
    assert compare(slow, quick) is Standing.WORSE
    assert compare(quick, outcome(**{NEVER: 0, LONGEST: 11_000})) is Standing.SAME


def test_without_a_hub_there_is_nothing_to_stand_against() -> None:
    assert compare(outcome(lost=0), None) is Standing.ALONE


def test_an_outcome_tells_what_went_wrong() -> None:
    checks: dict[str, CheckResult] = {result.name: result for result in check_all(History([]))}
    assert outcome_of(checks).sentence == "Of 0 acknowledged jobs: every job ended once."
