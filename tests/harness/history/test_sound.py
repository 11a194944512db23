"""A sound queue is never accused, whatever happened to its workers."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.history import CHECKERS, CheckResult, History, check_all, explain
from tests.harness.history.sound import LIMITS, SoundQueue


def accusations(history: History, results: list[CheckResult]) -> str:
    return "\n".join(line for result in results for line in explain(history, result, most=2))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), jobs=st.integers(1, 25), workers=st.integers(2, 8), retries=st.integers(0, 4))
def test_no_checker_accuses_a_sound_queue(seed: int, jobs: int, workers: int, retries: int) -> None:
    history = History(SoundQueue(Random(seed), jobs=jobs, workers=workers, max_retries=retries).run())
    results = check_all(history, LIMITS)
    assert all(result.clean for result in results), accusations(history, results)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), jobs=st.integers(1, 25))
def test_every_acknowledged_job_is_in_exactly_one_place(seed: int, jobs: int) -> None:
    history = History(SoundQueue(Random(seed), jobs=jobs).run())
    counts = dict(CHECKERS["accounting"](history, LIMITS).counts)
    assert counts.pop("acknowledged") == jobs
    assert sum(counts.values()) == jobs
    assert counts["lost"] == 0


def test_the_simulated_queue_goes_through_all_that_is_judged() -> None:
    """Otherwise a clean answer would say nothing."""
    examined = dict.fromkeys(CHECKERS, 0)
    for seed in range(30):
        for result in check_all(History(SoundQueue(Random(seed), jobs=25).run()), LIMITS):
            examined[result.name] += result.examined
    assert {name for name, count in examined.items() if count < 20} == set()
