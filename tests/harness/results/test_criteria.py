from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results import Comparison, Criterion, Evidence, Measurement, Statement, Threshold, Verdict
from harness.results.criteria import judge

BELOW_20 = Threshold(comparison=Comparison.BELOW, limit=20, plan=1000)
NONE = Threshold(comparison=Comparison.EQUAL, limit=0)
ENOUGH = Evidence(what="jobs", had=2000, least=2000)
TOO_LITTLE = Evidence(what="jobs", had=1999, least=2000)


def p99(value: float | None) -> Measurement:
    return Measurement(what="p99 of claims", observed=value, unit="ms", threshold=BELOW_20)


def lost(count: int) -> Measurement:
    return Measurement(what="lost jobs", observed=count, threshold=NONE, counterexample=True)


def criterion(measurements: list[Measurement], evidence: list[Evidence]) -> Criterion:
    return Criterion.judged(
        Statement(
            id="claims",
            title="Claims",
            sentence="A claim takes under a second.",
            source="plan 2B",
            measured="From the submit to the claim.",
        ),
        measurements=measurements,
        evidence=evidence,
    )


@pytest.mark.parametrize(
    ("measurements", "evidence", "verdict"),
    [
        ([p99(12)], [ENOUGH], Verdict.PASS),
        ([p99(20)], [ENOUGH], Verdict.FAIL),
        ([p99(12)], [TOO_LITTLE], Verdict.INCONCLUSIVE),
        ([p99(900)], [TOO_LITTLE], Verdict.INCONCLUSIVE),
        ([p99(None)], [ENOUGH], Verdict.INCONCLUSIVE),
        ([p99(math.inf)], [ENOUGH], Verdict.INCONCLUSIVE),
        ([p99(12), p99(21)], [ENOUGH], Verdict.FAIL),
        ([lost(1)], [TOO_LITTLE], Verdict.FAIL),
        ([lost(0)], [TOO_LITTLE], Verdict.INCONCLUSIVE),
        ([lost(0)], [ENOUGH, TOO_LITTLE], Verdict.INCONCLUSIVE),
        ([], [ENOUGH], Verdict.INCONCLUSIVE),
        ([lost(0)], [], Verdict.PASS),
    ],
)
def test_a_criterion_is_judged_by_its_figures_and_its_evidence(
    measurements: list[Measurement], evidence: list[Evidence], verdict: Verdict
) -> None:
    assert criterion(measurements, evidence).verdict is verdict


def test_a_failure_names_the_figure_and_the_limit() -> None:
    said = criterion([p99(31.4), lost(0)], [ENOUGH]).explanation
    assert said == "p99 of claims = 31.4 ms, must be under 20 ms."


def test_too_little_evidence_says_how_much_was_missing() -> None:
    said = criterion([p99(3)], [TOO_LITTLE]).explanation
    assert said == "Too little was seen to judge: 1,999 of at least 2,000 jobs."


def test_a_lost_job_under_little_evidence_is_told_without_the_statistics_beside_it() -> None:
    said = criterion([p99(900), lost(2)], [TOO_LITTLE]).explanation
    assert said == "Lost jobs = 2, must be 0."


@given(
    st.sampled_from(Comparison),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_comparison_and_its_opposite_never_agree(comparison: Comparison, limit: float, value: float) -> None:
    opposite = {
        Comparison.BELOW: Comparison.AT_LEAST,
        Comparison.AT_LEAST: Comparison.BELOW,
        Comparison.ABOVE: Comparison.AT_MOST,
        Comparison.AT_MOST: Comparison.ABOVE,
    }
    if comparison in opposite:
        other = Threshold(comparison=opposite[comparison], limit=limit)
        assert Threshold(comparison=comparison, limit=limit).admits(value) != other.admits(value)
    else:
        assert Threshold(comparison=comparison, limit=limit).admits(value) == (value == limit)


@given(st.lists(st.builds(lost, st.integers(0, 3)), max_size=4), st.lists(st.sampled_from([ENOUGH, TOO_LITTLE])))
def test_more_evidence_never_turns_a_failure_into_anything_else(
    measurements: list[Measurement], evidence: list[Evidence]
) -> None:
    if judge(measurements, evidence) is Verdict.FAIL:
        assert judge(measurements, [ENOUGH]) is Verdict.FAIL
