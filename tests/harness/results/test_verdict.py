from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results import Verdict, combine

verdicts = st.lists(st.sampled_from(Verdict))


def test_an_empty_run_never_passes() -> None:
    assert combine([]) is Verdict.INCONCLUSIVE


@given(verdicts)
def test_one_failure_outranks_all_else(several: list[Verdict]) -> None:
    assert combine([*several, Verdict.FAIL]) is Verdict.FAIL


@given(verdicts)
def test_a_run_passes_only_where_there_is_something_and_all_of_it_passes(several: list[Verdict]) -> None:
    assert (combine(several) is Verdict.PASS) == (bool(several) and set(several) == {Verdict.PASS})


@given(verdicts)
def test_without_a_failure_one_doubt_outranks_what_passes(several: list[Verdict]) -> None:
    calm = [verdict for verdict in several if verdict is not Verdict.FAIL]
    assert combine([*calm, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE


@given(verdicts.filter(bool), verdicts.filter(bool))
def test_combining_parts_first_changes_nothing(some: list[Verdict], others: list[Verdict]) -> None:
    assert combine([combine(some), combine(others)]) is combine([*others, *some])


@pytest.mark.parametrize(("verdict", "status"), [("pass", 0), ("fail", 1), ("inconclusive", 3)])
def test_each_verdict_has_its_exit_status(verdict: str, status: int) -> None:
    assert Verdict(verdict).exit_status == status
